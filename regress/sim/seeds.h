/*
 * seeds.h
 *		Seeds that have found something, and what.  No include guard: this is a
 *		table, read with SEED defined.  Whoever changes what worlds are made of looks
 *		for the like again: seeds that catch the rule that it was.
 */
SEED(169, "dead letters of a view, written after a reset had deleted them")
SEED(31, "a view that joins a lane while a barrier closes its windows")
