/*
 * marks.c
 *		Where a snapshot finds a window (see marks.h).
 */
#include "core/marks.h"

#include <string.h>

void
wm_begin(WmMarks *m, int64_t upto)
{
	m->birth = WM_NO_XID;
	m->freed_upto = m->gone_upto = upto;
	m->n = 0;
}

bool
wm_may_close(const WmMarks *m)
{
	return m->n < WM_MARKS;
}

void
wm_add(WmMarks *m, int64_t upto, uint32_t xid)
{
	m->mark[m->n++] = (WmMark){.upto = upto, .xid = xid};
}

void
wm_settle(WmMarks *m, uint32_t xid, bool committed)
{
	if (xid == WM_NO_XID || m->n == 0 || m->mark[m->n - 1].xid != xid)
		return;
	if (committed)
		m->mark[m->n - 1].known_committed = true;
	else
		m->n--;
}

int
wm_unneeded(const WmMarks *m, WmTest needed, void *arg)
{
	int n = 0;

	while (n < m->n && m->mark[n].known_committed && !needed(arg, m->mark[n].xid))
		n++;
	return n;
}

void
wm_drop(WmMarks *m, int n)
{
	m->freed_upto = m->mark[n - 1].upto;
	if (m->gone_upto < m->freed_upto)
		m->gone_upto = m->freed_upto;
	m->n -= n;
	memmove(m->mark, m->mark + n, m->n * sizeof(WmMark));
}

bool
wm_is_scarce(const WmMarks *m)
{
	return m->n >= WM_SCARCE;
}

/*
 * Of each two marks next to each other that lie before gone_upto the later one
 * stays, for both: who sees it sees the other one, too.
 */
static void
spare_marks(WmMarks *m)
{
	int kept = 0;

	for (int i = 0; i < m->n; i++)
	{
		bool pair = i + 1 < m->n && m->mark[i + 1].upto <= m->gone_upto;

		m->mark[kept++] = m->mark[pair ? ++i : i];
	}
	m->n = kept;
}

void
wm_force(WmMarks *m)
{
	for (int i = 0; i < m->n && m->mark[i].known_committed; i++)
		m->gone_upto = m->mark[i].upto;
	if (wm_is_scarce(m))
		spare_marks(m);
}

bool
wm_append(WmMarks *m, const WmMarks *later, int64_t from)
{
	/* Marks were dropped: every snapshot sees these, and all before them. */
	if (later->freed_upto > from)
	{
		m->freed_upto = later->freed_upto;
		m->n = 0;
	}
	/* Marks may have been spared: what they closed is taken for gone here, too. */
	if (later->gone_upto > from && later->gone_upto > m->gone_upto)
		m->gone_upto = later->gone_upto;
	if (m->n + later->n > WM_MARKS)
		return false;
	memcpy(m->mark + m->n, later->mark, later->n * sizeof(WmMark));
	m->n += later->n;
	return true;
}

void
wm_copy(WmMarks *dst, const WmMarks *src)
{
	dst->birth = src->birth;
	dst->freed_upto = src->freed_upto;
	dst->gone_upto = src->gone_upto;
	dst->n = src->n;
	memcpy(dst->mark, src->mark, src->n * sizeof(WmMark));
}

bool
wm_look(const WmMarks *m, WmTest sees, void *arg, int64_t *hidden)
{
	if (m->birth != WM_NO_XID && !sees(arg, m->birth))
		return false;
	*hidden = m->freed_upto;
	for (int i = 0; i < m->n && sees(arg, m->mark[i].xid); i++)
		*hidden = m->mark[i].upto;
	return true;
}
