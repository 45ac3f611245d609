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
	m->freed_upto = upto;
	m->n = 0;
}

/*
 * The more marks are in use, the longer is the pause before the next closing (a
 * quarter of a second at 11, 20 s at 100; they last for three hours), so that
 * windows go on becoming final.  The last one is for windows whose closing was
 * decided on before and failed.
 */
bool
wm_may_close(const WmMarks *m, int64_t since_last)
{
	int64_t n = m->n;

	return n < WM_MARKS - 1 && since_last >= n * n * 2000;
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
	m->n -= n;
	memmove(m->mark, m->mark + n, m->n * sizeof(WmMark));
}

void
wm_copy(WmMarks *dst, const WmMarks *src)
{
	dst->birth = src->birth;
	dst->freed_upto = src->freed_upto;
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
