/*
 * base/compat.h
 *		Differences between PostgreSQL 15 and 18, in one place.  Wrappers have
 *		the newest version's shape.
 */
#ifndef WEIR_COMPAT_H
#define WEIR_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "Weir needs PostgreSQL 15 or newer"
#endif

/* The layout of values of variable length left postgres.h in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Abs() went in 16; 17 has this in its place, 15 does not. */
#ifndef i64abs
#define i64abs(i) ((int64) llabs(i))
#endif

/*
 * EXPLAIN's headers were split in 18.
 */
#if PG_VERSION_NUM >= 180000
#define WEIR_EXPLAIN_HEADERS_SPLIT
#endif

/* The number by which a process is known in virtual transaction ids. */
#define WEIR_NO_BACKEND (-1)
#if PG_VERSION_NUM >= 170000
#define WEIR_MY_BACKEND         ((int) MyProcNumber)
#define WEIR_VXID_BACKEND(vxid) ((int) (vxid).procNumber)
#else
#define WEIR_MY_BACKEND         ((int) MyBackendId)
#define WEIR_VXID_BACKEND(vxid) ((int) (vxid).backendId)
#endif

/* Making a range can fail softly from 16 on. */
#if PG_VERSION_NUM >= 160000
#define weir_make_range(typcache, lower, upper) \
	make_range(typcache, lower, upper, false, NULL)
#else
#define weir_make_range(typcache, lower, upper) \
	make_range(typcache, lower, upper, false)
#endif

/* Does the user own the database? */
#if PG_VERSION_NUM >= 160000
#define weir_owns_database(dboid, userid) \
	object_ownercheck(DatabaseRelationId, dboid, userid)
#else
#define weir_owns_database(dboid, userid) pg_database_ownercheck(dboid, userid)
#endif

/* May a role use a function? */
#if PG_VERSION_NUM >= 160000
#define weir_function_aclcheck(function, role, mode) \
	object_aclcheck(ProcedureRelationId, function, role, mode)
#define weir_server_aclcheck(server, role, mode) \
	object_aclcheck(ForeignServerRelationId, server, role, mode)
#else
#define weir_function_aclcheck(function, role, mode) \
	pg_proc_aclcheck(function, role, mode)
#define weir_server_aclcheck(server, role, mode) \
	pg_foreign_server_aclcheck(server, role, mode)
#endif

/* A path of a foreign scan without parameters or order. */
#if PG_VERSION_NUM >= 180000
#define weir_foreignscan_path(root, rel, rows, startup, total, private)    \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, NIL, \
							(rel)->lateral_relids, NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define weir_foreignscan_path(root, rel, rows, startup, total, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, \
							(rel)->lateral_relids, NULL, NIL, private)
#else
#define weir_foreignscan_path(root, rel, rows, startup, total, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, \
							(rel)->lateral_relids, NULL, private)
#endif

/* From 18 on an index scan may be told where to count. */
#if PG_VERSION_NUM >= 180000
#define weir_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define weir_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* Whom to be when writing to a result relation; 0: the current user. */
#if PG_VERSION_NUM >= 160000
#define weir_result_rel_user(rri, estate) \
	ExecGetResultRelCheckAsUser(rri, estate)
#else
#define weir_result_rel_user(rri, estate)                                \
	((rri)->ri_RangeTableIndex > 0                                       \
		 ? exec_rt_fetch((rri)->ri_RangeTableIndex, estate)->checkAsUser \
		 : InvalidOid)
#endif

/* An executor state's only relation, number 1, which is to be written to. */
#if PG_VERSION_NUM >= 160000
#define weir_init_range_table(estate, rte)              \
	do                                                  \
	{                                                   \
		List *perms_ = NIL;                             \
		(void) addRTEPermissionInfo(&perms_, rte);      \
		ExecInitRangeTable(estate, list_make1(rte),     \
						   perms_ WEIR_UNPRUNED_RELID); \
	} while (0)
#if PG_VERSION_NUM >= 180000
#define WEIR_UNPRUNED_RELID , bms_make_singleton(1)
#else
#define WEIR_UNPRUNED_RELID
#endif
#define weir_insert_index_tuples(rri, slot, estate) \
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL, false)
#else
#define weir_init_range_table(estate, rte) \
	ExecInitRangeTable(estate, list_make1(rte))
#define weir_insert_index_tuples(rri, slot, estate) \
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL)
#endif

/* Rights are in a list of the query's own from 16 on. */
#if PG_VERSION_NUM >= 160000
#define weir_forget_permissions(rte)   ((rte)->perminfoindex = 0)
#define weir_forget_all_permissions(q) ((q)->rteperminfos = NIL)
#define weir_flatten_join_alias_vars(query, node) \
	flatten_join_alias_vars(NULL, query, node)
#else
#define weir_forget_permissions(rte)   ((rte)->requiredPerms = 0)
#define weir_forget_all_permissions(q) ((void) 0)
#define weir_flatten_join_alias_vars(query, node) \
	flatten_join_alias_vars(query, node)
#endif
/* Of the relations of FROM, joins themselves left out. */
#if PG_VERSION_NUM >= 160000
#define weir_relids_in_jointree(node) get_relids_in_jointree(node, false, false)
#else
#define weir_relids_in_jointree(node) get_relids_in_jointree(node, false)
#endif

/* The range table of a plan that reads no relation. */
#if PG_VERSION_NUM >= 180000
#define weir_init_plan_range_table(estate, stmt) \
	ExecInitRangeTable(estate, (stmt)->rtable, NIL, NULL)
#elif PG_VERSION_NUM >= 160000
#define weir_init_plan_range_table(estate, stmt) \
	ExecInitRangeTable(estate, (stmt)->rtable, NIL)
#else
#define weir_init_plan_range_table(estate, stmt) \
	ExecInitRangeTable(estate, (stmt)->rtable)
#endif

/* From 18 on the parser adds a range table entry for GROUP BY. */
#if PG_VERSION_NUM >= 180000
#define WEIR_FLATTEN_GROUPS(query)                                          \
	do                                                                      \
	{                                                                       \
		if ((query)->hasGroupRTE)                                           \
		{                                                                   \
			(query)->targetList = (List *)                                  \
				flatten_group_exprs(NULL, (query),                          \
									(Node *) (query)->targetList);          \
			(query)->havingQual = flatten_group_exprs(NULL, (query),        \
													  (query)->havingQual); \
		}                                                                   \
	} while (0)
#endif

#endif /* WEIR_COMPAT_H */
