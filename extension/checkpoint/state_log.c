/*
 * checkpoint/state_log.c
 *		The log of open windows on disk: weir.state.
 *
 * Each row is a chunk: the groups of one pane that changed before one barrier,
 * as one shard had them.  Within (view, pane, incarnation, shard) the last write
 * of a group wins, by seq; over incarnations and shards groups are combined.
 *
 * A chunk's bytes:
 *
 *		offset	size
 *		0		4		magic "WST1" (the digit is the version)
 *		4		4		number of records
 *		8		8		hash of the layout of keys and states
 *		16		4		CRC-32C of all that follows
 *		20		4		0
 *		24				records, as shmem/pane.h draws them, 8-aligned
 *
 * Hashes are not stored: they depend on collations.  Writing runs in the
 * coordinator; reading in the coordinator (recovery) and in backends (a view
 * without a live lane).
 */
#include "base/weir.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "catalog/spi.h"
#include "checkpoint/state_internal.h"
#include "core/log.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define STATE_MAGIC 0x31545357 /* "WST1", little-endian */
#define STATE_NATTS 7

typedef struct ChunkHeader
{
	uint32 magic;
	uint32 nrecords;
	uint64 layout;
	uint32 crc;
	uint32 zero;
} ChunkHeader;

static uint32
crc_of(const char *data, size_t len)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, len);
	FIN_CRC32C(crc);
	return crc;
}

static Oid
state_relation(const char *name)
{
	Oid relid = get_relname_relid(name, get_namespace_oid(WEIR_SCHEMA, false));

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"weir.%s\" does not exist", name)));
	return relid;
}

/* --- writing ----------------------------------------------------------------- */

static void
insert_chunk(Relation rel, CheckpointView *v, int shard, const Chunk *chunk)
{
	Datum values[STATE_NATTS];
	bool nulls[STATE_NATTS] = {false};
	Size len = VARHDRSZ + sizeof(ChunkHeader) + chunk->used;
	char *bytes = palloc(len);
	ChunkHeader header;
	HeapTuple tuple;

	header.magic = STATE_MAGIC;
	header.nrecords = chunk->nrecords;
	header.layout = v->plan->layout;
	header.zero = 0;
	header.crc = crc_of(chunk->data, chunk->used);
	SET_VARSIZE(bytes, len);
	memcpy(VARDATA(bytes), &header, sizeof(header));
	memcpy(VARDATA(bytes) + sizeof(header), chunk->data, chunk->used);

	values[0] = Int32GetDatum(v->row->id);
	values[1] = Int64GetDatum(chunk->pane.last);
	values[2] = Int64GetDatum(chunk->pane.first);
	values[3] = Int32GetDatum(v->next.incarnation);
	values[4] = Int32GetDatum(shard);
	values[5] = Int64GetDatum(++v->next_seq);
	values[6] = PointerGetDatum(bytes);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	pfree(bytes);
	v->next.chunks++;
	v->written += len;
}

static void
delete_chunks(CheckpointView *v, const char *where, int ntypes, int64 last,
			  int64 first, int shard)
{
	Oid types[] = {INT4OID, INT8OID, INT8OID, INT4OID, INT4OID};
	Datum values[5];
	char *sql = psprintf("DELETE FROM weir.state WHERE view = $1 AND %s", where);

	values[0] = Int32GetDatum(v->row->id);
	values[1] = Int64GetDatum(last);
	values[2] = Int64GetDatum(first);
	values[3] = Int32GetDatum(v->next.incarnation);
	values[4] = Int32GetDatum(shard);
	SPI_connect();
	weir_spi(sql, ntypes, types, values, NULL, SPI_OK_DELETE);
	v->next.chunks -= SPI_processed;
	SPI_finish();
}

void
weir_state_clear(CheckpointView *v)
{
	delete_chunks(v, "true", 1, 0, 0, 0);
}

void
weir_state_append(CheckpointView *v, int shard, const Chunk *chunk)
{
	Relation rel = table_open(state_relation("state"), RowExclusiveLock);

	insert_chunk(rel, v, shard, chunk);
	table_close(rel, RowExclusiveLock);
}

/* Of sessions, those of the panes of which none is open. */
static void
drop_sessions(CheckpointView *v)
{
	for (int i = v->attempt.first; i < v->attempt.nclosed; i++)
	{
		const ClosedPane *c = &v->closed[i];

		delete_chunks(v,
					  "pane = $2 AND first = $3 AND incarnation = $4 AND shard = $5",
					  5, c->pane->windows.last, c->pane->windows.first,
					  c->shard);
	}
}

void
weir_state_drop_closed(CheckpointView *v, int64 upto)
{
	if (v->next.chunks == 0)
		return;
	if (v->reader->layout.sessions)
		drop_sessions(v);
	else
		delete_chunks(v, "pane <= $2", 2, upto, 0, 0);
}

static bool
pane_is_closed(const CheckpointView *v, int shard, const PaneWindows *windows)
{
	if (v->reader->layout.sessions)
		return weir_attempt_closes(v, shard, windows);
	return wc_is_closed(windows->end + v->row->lateness, v->next.closed_upto);
}

/*
 * wl_replaces, as SQL: a rewrite of a pane takes the place of what the shard has
 * written, and in the shard of recovered groups of what older incarnations have.
 */
static const char replaced[] =
	"pane = $2 AND first = $3 AND (incarnation = $4 AND shard = $5 OR incarnation < $4 AND $5 = " CppAsString2(
		WL_RESTORED) ")";

void
weir_state_write(CheckpointView *v)
{
	Relation rel = table_open(state_relation("state"), RowExclusiveLock);

	for (int s = 0; s < v->slot->nshards; s++)
		for (Chunk *c = v->slot->shards[s].chunks; c; c = c->next)
		{
			if (pane_is_closed(v, s, &c->pane))
				continue;
			if (c->rewrite)
			{
				CommandCounterIncrement();
				delete_chunks(v, replaced, 5, c->pane.last, c->pane.first, s);
			}
			insert_chunk(rel, v, s, c);
		}
	table_close(rel, RowExclusiveLock);
}

/* --- reading ------------------------------------------------------------------- */

typedef struct Restore
{
	int32 view;
	ViewReader *reader;
	RestoreGroup group;
	void *arg;
	MemoryContext cxt;      /* of the pane being read */
	MergeTable *log;        /* of one incarnation and shard */
	MergeTable *all;        /* of the pane */
	SessionTable *sessions; /* instead, of all; or NULL */
	WlKey key;              /* of the chunk before */
	bool any;
} Restore;

static void
corrupted(const Restore *r, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the state log of continuous view %d is damaged", r->view),
			 errdetail_internal("%s", what),
			 errhint("weir.reset computes the view anew.")));
}

/* The log of one incarnation and shard is complete: combine it. */
static void
end_of_log(Restore *r)
{
	for (uint32 i = 0; i < r->log->ngroups; i++)
	{
		MergeGroup *g = &r->log->groups[i];

		weir_merge_group(r->all, g->window, g->key, g->keylen, g->state);
	}
}

static void
end_of_pane(Restore *r)
{
	PaneWindows windows = {.first = r->key.first, .last = r->key.pane};

	windows.end = weir_window_end(&r->reader->plan->window, windows.last);
	end_of_log(r);
	for (uint32 i = 0; i < r->all->ngroups; i++)
	{
		MergeGroup *g = &r->all->groups[i];

		r->group(r->arg, &windows, g->key, g->keylen, g->state);
	}
	weir_merge_reset(r->log);
	weir_merge_reset(r->all);
	MemoryContextReset(r->cxt);
}

/* The number of who has written it. */
static int
source_of(const WlKey *key)
{
	return key->incarnation * WEIR_MAX_WORKERS + key->shard;
}

static void
read_chunk(Restore *r, struct varlena *bytes)
{
	const char *data = VARDATA(bytes);
	size_t len = VARSIZE(bytes) - VARHDRSZ;
	ChunkHeader h;
	size_t at = sizeof(ChunkHeader);

	if (len < sizeof(h))
		corrupted(r, "A chunk is too short.");
	memcpy(&h, data, sizeof(h));
	if (h.magic != STATE_MAGIC || h.layout != r->reader->plan->layout)
		corrupted(r, "A chunk is of another version or another query.");
	if (h.crc != crc_of(data + at, len - at))
		corrupted(r, "The checksum of a chunk is wrong.");
	for (uint32 i = 0; i < h.nrecords; i++)
	{
		const GroupRecord *rec = (const GroupRecord *) (data + at);

		if (!weir_record_valid(rec, len - at, &r->reader->layout) ||
			!weir_key_valid(r->reader->codec, (const char *) rec + rec->key,
							rec->keylen))
			corrupted(r, "A record of a chunk has no valid shape.");
		if (r->sessions)
			weir_sessions_add_record(r->sessions, source_of(&r->key), rec);
		else
			weir_merge_add(r->log, r->key.pane, rec, true);
		at += rec->len;
	}
}

/* What the chunk does not continue is complete. */
static void
begin_chunk(Restore *r, const WlKey *key)
{
	switch (r->any && r->sessions == NULL ? wl_step(&r->key, key) : WL_SAME)
	{
		case WL_NEXT_PANE:
			end_of_pane(r);
			break;
		case WL_NEXT_LOG:
			end_of_log(r);
			weir_merge_reset(r->log);
			break;
		case WL_SAME:
			break;
	}
	r->any = true;
	r->key = *key;
}

static void
read_row(Restore *r, HeapTuple tuple, TupleDesc desc)
{
	Datum values[STATE_NATTS];
	bool nulls[STATE_NATTS];
	MemoryContext old;
	WlKey key;

	heap_deform_tuple(tuple, desc, values, nulls);
	key.pane = DatumGetInt64(values[1]);
	key.first = DatumGetInt64(values[2]);
	key.incarnation = DatumGetInt32(values[3]);
	key.shard = DatumGetInt32(values[4]);
	begin_chunk(r, &key);

	/* A copy with a full header: its records are then 8-aligned. */
	old = MemoryContextSwitchTo(r->cxt);
	{
		struct varlena *v = PG_DETOAST_DATUM_PACKED(values[6]);
		Size len = VARSIZE_ANY_EXHDR(v);
		char *room = palloc(len + 8 + VARHDRSZ);
		char *bytes = room + 8 - VARHDRSZ;

		SET_VARSIZE(bytes, len + VARHDRSZ);
		memcpy(VARDATA(bytes), VARDATA_ANY(v), len);
		read_chunk(r, (struct varlena *) bytes);
	}
	MemoryContextSwitchTo(old);
}

void
weir_state_restore(int32 view, int64 chunks, ViewReader *reader,
				   RestoreGroup group, void *arg)
{
	Restore r = {.view = view, .reader = reader, .group = group, .arg = arg};
	Relation rel = table_open(state_relation("state"), AccessShareLock);
	Relation index = index_open(state_relation("state_key"), AccessShareLock);
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "weir restore",
											  ALLOCSET_DEFAULT_SIZES);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	int64 n = 0;

	r.cxt = AllocSetContextCreate(cxt, "weir pane", ALLOCSET_DEFAULT_SIZES);
	r.log = weir_merge_new(reader, cxt);
	r.all = weir_merge_new(reader, cxt);
	if (reader->layout.sessions)
		r.sessions = weir_sessions_new(reader, cxt);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(view));
	scan = systable_beginscan_ordered(rel, index, GetActiveSnapshot(), 1, &key);
	while ((tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
	{
		read_row(&r, tuple, RelationGetDescr(rel));
		n++;
		CHECK_FOR_INTERRUPTS();
	}
	if (r.sessions)
		weir_sessions_restore(r.sessions, group, arg);
	else if (r.any)
		end_of_pane(&r);
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	MemoryContextDelete(cxt);
	if (n != chunks)
		corrupted(&r, psprintf("There are " INT64_FORMAT
							   " chunks; there should be " INT64_FORMAT ".",
							   n, chunks));
}
