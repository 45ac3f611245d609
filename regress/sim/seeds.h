/*
 * seeds.h
 *		Seeds that have found something, and what.  No include guard: this is a
 *		table, read with SEED defined.
 */
SEED(8, "dead letters of a view, written after a reset had deleted them")
SEED(45, "a view that joins a lane while a barrier closes its windows")
