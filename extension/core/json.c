/*
 * json.c
 *		The JSON scanner, see json.h.
 *
 * This is the hottest loop of the product: each byte of each message passes
 * here once.  What makes it fast:
 *
 * - Strings, which are most of a message, are searched 16 bytes at a time with
 *	 SSE2 (every x86-64 has it) or 8 at a time elsewhere, for the few bytes that
 *	 are not plain: quote, backslash, control characters, and 0x80 and more,
 *	 where UTF-8 has to be looked at.
 * - Keys of the top-level object mostly stand where they stood in the last
 *	 message: one comparison finds and checks them (json_guess.h).
 * - Any other key is looked up by a fingerprint (json_paths.h); what no path
 *	 wants costs one probe that finds an empty slot.
 * - No recursion: one bit per level says object or array.  Only containers that
 *	 lie on some path have a frame; since a path has few steps, these are the
 *	 outermost ones, and below them the scanner only checks.
 *
 * Called by ingest workers and backends on messages in their private memory.
 * Takes no lock, allocates nothing, raises nothing; 3 kB of stack.
 */
#include "core/json.h"

#include <string.h>

#include "core/json_guess.h"
#include "core/json_paths.h"
#include "core/json_text.h"
#include "core/utf8.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* What the checking functions need, and where they leave their error. */
typedef struct Input
{
	const char *start;
	const char *end;
	const char *errat;
	WjStatus status;
} Input;

/* An open container that lies on a path. */
typedef struct Frame
{
	const WjNode *node;
	const char *start;
	uint32_t index; /* of the next element */
	int item;       /* the first of node->items not yet passed */
} Frame;

/* The open containers.  The outermost ntracked ones have a frame. */
typedef struct Stack
{
	int depth;
	int ntracked;
	uint64_t is_object[WJ_MAX_DEPTH / 64];
	Frame frames[WJ_MAX_STEPS + 1];
} Stack;

static inline const char *
fail(Input *in, WjStatus status, const char *at)
{
	in->status = status;
	in->errat = at;
	return NULL;
}

static inline const char *
skip_space(const char *p, const char *end)
{
	while (p < end && unlikely((unsigned char) *p <= ' ') &&
		   (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

static inline bool
is_digit(char c)
{
	return (unsigned char) (c - '0') <= 9;
}

/*
 * Checks a \u escape; p is at the backslash.  Returns the byte after it, and
 * after its second half if it is a surrogate pair.
 */
static const char *
check_unicode(Input *in, const char *p)
{
	int32_t code = wj_hex4(p + 2, in->end);

	if (code == -2)
		return fail(in, WJ_ERR_END, in->end);
	if (code < 0)
		return fail(in, WJ_ERR_ESCAPE, p);
	if (code < 0xD800 || code > 0xDFFF)
		return p + 6;
	if (code <= 0xDBFF && in->end - p >= 12 && p[6] == '\\' && p[7] == 'u')
	{
		code = wj_hex4(p + 8, in->end);
		if (code >= 0xDC00 && code <= 0xDFFF)
			return p + 12;
	}
	return fail(in, WJ_ERR_SURROGATE, p);
}

/*
 * Checks what is not plain in a string: an escape, a sequence of UTF-8, or a
 * control character.  Returns the byte after it.
 */
static __attribute__((noinline)) const char *
check_special(Input *in, const char *p, bool *escaped)
{
	size_t n;

	if ((unsigned char) *p < 0x20)
		return fail(in, WJ_ERR_CONTROL, p);
	if (*p == '\\')
	{
		*escaped = true;
		if (in->end - p < 2)
			return fail(in, WJ_ERR_END, in->end);
		if (p[1] == 'u')
			return check_unicode(in, p);
		if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL)
			return fail(in, WJ_ERR_ESCAPE, p);
		return p + 2;
	}

	/* Text that isn't ASCII comes in runs. */
	do
	{
		n = wu_sequence(p, in->end);
		if (n == 0)
			return fail(in, WJ_ERR_UTF8, p);
		p += n;
	} while (p < in->end && (unsigned char) *p >= 0x80);
	return p;
}

static inline bool
is_plain(char c)
{
	return (unsigned char) c >= 0x20 && (unsigned char) c < 0x80 && c != '"' &&
		   c != '\\';
}

#ifdef WJ_SSE2

/* A bit for each byte that is not plain; signed, 0x80 and more are below 0. */
static inline unsigned
special_bits(__m128i v)
{
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
	__m128i other = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));

	return (unsigned) _mm_movemask_epi8(
		_mm_or_si128(_mm_or_si128(quote, slash), other));
}

/* The first byte from p on that is not plain, or the end. */
static inline const char *
skip_plain(const Input *in, const char *p)
{
	unsigned bits;

	while (likely(in->end - p >= 16))
	{
		bits = special_bits(_mm_loadu_si128((const __m128i *) (const void *) p));
		if (likely(bits != 0))
			return p + __builtin_ctz(bits);
		p += 16;
	}
	if (in->end - in->start >= 16)
	{
		/* The last 16 bytes, less those that lie before p. */
		const char *last = in->end - 16;

		bits = special_bits(
			_mm_loadu_si128((const __m128i *) (const void *) last));
		bits >>= p - last;
		return bits != 0 ? p + __builtin_ctz(bits) : in->end;
	}
	while (p < in->end && is_plain(*p))
		p++;
	return p;
}

#else /* !WJ_SSE2 */

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/*
 * Whether all eight bytes are plain.  The classic tests for a zero byte and for
 * a byte less than n: a borrow may make them see one too many, above one that
 * is there, never one too few.
 */
static inline bool
all_plain(uint64_t v)
{
	uint64_t quote = v ^ EACH_BYTE('"');
	uint64_t slash = v ^ EACH_BYTE('\\');
	uint64_t found = (quote - EACH_BYTE(1)) | (slash - EACH_BYTE(1)) |
					 (v - EACH_BYTE(0x20)) | v;

	return (found & EACH_BYTE(0x80)) == 0;
}

/* The first byte from p on that is not plain, or the end. */
static inline const char *
skip_plain(const Input *in, const char *p)
{
	while (in->end - p >= 8)
	{
		uint64_t v;

		memcpy(&v, p, sizeof(v));
		if (!all_plain(v))
			break;
		p += 8;
	}
	while (p < in->end && is_plain(*p))
		p++;
	return p;
}

#endif /* WJ_SSE2 */

/*
 * The closing quote of the string whose contents begin at p, all of it checked.
 * Sets *escaped if there is a backslash.
 */
static inline const char *
scan_string(Input *in, const char *p, bool *escaped)
{
	*escaped = false;
	for (;;)
	{
		p = skip_plain(in, p);
		if (unlikely(p == in->end))
			return fail(in, WJ_ERR_END, p);
		if (likely(*p == '"'))
			return p;
		p = check_special(in, p, escaped);
		if (unlikely(p == NULL))
			return NULL;
	}
}

/* The byte after one or more digits. */
static inline const char *
scan_digits(Input *in, const char *p)
{
	if (unlikely(p == in->end))
		return fail(in, WJ_ERR_END, p);
	if (unlikely(!is_digit(*p)))
		return fail(in, WJ_ERR_NUMBER, p);
	do
		p++;
	while (p < in->end && is_digit(*p));
	return p;
}

/* The byte after the number at p, which is a digit or a minus. */
static inline const char *
scan_number(Input *in, const char *p)
{
	const char *first;

	p += *p == '-';
	first = p;
	p = scan_digits(in, p);
	if (unlikely(p == NULL))
		return NULL;
	if (unlikely(*first == '0' && p - first > 1))
		return fail(in, WJ_ERR_NUMBER, first);
	if (p < in->end && *p == '.')
	{
		p = scan_digits(in, p + 1);
		if (unlikely(p == NULL))
			return NULL;
	}
	if (p < in->end && unlikely((*p | 0x20) == 'e'))
	{
		p++;
		if (p < in->end && (*p == '+' || *p == '-'))
			p++;
		p = scan_digits(in, p);
	}
	return p;
}

/* The byte after the literal at p, which begins with its first letter. */
static const char *
scan_literal(Input *in, const char *p, const char *word, size_t len)
{
	size_t left = (size_t) (in->end - p);

	if (likely(left >= len))
		return memcmp(p, word, len) == 0 ? p + len : fail(in, WJ_ERR_SYNTAX, p);
	return memcmp(p, word, left) == 0 ? fail(in, WJ_ERR_END, in->end)
									  : fail(in, WJ_ERR_SYNTAX, p);
}

/*
 * Checks the value at p that is no object or array and returns the byte after
 * it; *v is what it is.
 */
static inline const char *
scan_scalar(Input *in, const char *p, WjValue *v)
{
	const char *end;

	v->ptr = p;
	v->escaped = false;
	switch (*p)
	{
		case '"':
			v->type = WJ_STRING;
			v->ptr = p + 1;
			end = scan_string(in, p + 1, &v->escaped);
			if (unlikely(end == NULL))
				return NULL;
			v->len = (uint32_t) (end - v->ptr);
			return end + 1;
		case 't':
			v->type = WJ_TRUE;
			end = scan_literal(in, p, "true", 4);
			break;
		case 'f':
			v->type = WJ_FALSE;
			end = scan_literal(in, p, "false", 5);
			break;
		case 'n':
			v->type = WJ_NULL;
			end = scan_literal(in, p, "null", 4);
			break;
		default:
			if (unlikely(!is_digit(*p) && *p != '-'))
				return fail(in,
							*p == '+' || *p == '.' ? WJ_ERR_NUMBER
												   : WJ_ERR_SYNTAX,
							p);
			v->type = WJ_NUMBER;
			end = scan_number(in, p);
			break;
	}
	if (likely(end != NULL))
		v->len = (uint32_t) (end - p);
	return end;
}

/* Is this neither a bracket, nor a space, nor the end of something? */
static inline bool
begins_scalar(char c)
{
	return c == '"' || is_digit(c) || c == '-' || (c >= 'a' && c <= 'z');
}

/* The node of a key in the object whose node this is, or NULL. */
static inline const WjNode *
key_node(const WjNode *object, const WjValue *key)
{
	if (object->nkeys == 0)
		return NULL;
	return likely(!key->escaped)
			   ? wj_find_key(object, key->ptr, key->len)
			   : wj_find_escaped(object, key->ptr, key->ptr + key->len);
}

/*
 * A key of a tracked object was read.  Perhaps it was there before, with an
 * object of other contents.
 */
static inline void
forget_below(const WjNode *node, WjValue *values)
{
	if (node)
		for (int i = 0; i < node->nbelow; i++)
			values[node->below[i]].type = WJ_MISSING;
}

/* The node of an array's next element, or NULL. */
static inline const WjNode *
element_node(Frame *frame)
{
	const WjNode *array = frame->node;
	uint32_t index = frame->index++;

	if (frame->item < array->nitems && array->items[frame->item].index == index)
		return array->items[frame->item++].node;
	return NULL;
}

/* Enters the container at p, whose node may be NULL.  False: too deep. */
static inline bool
push(Stack *stack, const WjNode *node, const char *p)
{
	int d = stack->depth;
	uint64_t bit = UINT64_C(1) << (d & 63);

	if (unlikely(d == WJ_MAX_DEPTH))
		return false;
	if (*p == '{')
		stack->is_object[d >> 6] |= bit;
	else
		stack->is_object[d >> 6] &= ~bit;
	stack->depth++;
	if (node)
	{
		Frame *frame = &stack->frames[stack->ntracked++];

		frame->node = node;
		frame->start = p;
		frame->index = 0;
		frame->item = 0;
	}
	return true;
}

/* Leaves the innermost container; p is at its closing bracket. */
static inline void
pop(Stack *stack, const char *p, WjValue *values)
{
	if (stack->depth-- == stack->ntracked)
	{
		const Frame *frame = &stack->frames[--stack->ntracked];

		if (frame->node->path >= 0)
		{
			WjValue *v = &values[frame->node->path];

			v->ptr = frame->start;
			v->len = (uint32_t) (p + 1 - frame->start);
			v->type = *p == '}' ? WJ_OBJECT : WJ_ARRAY;
			v->escaped = false;
		}
	}
}

/* The frame of the innermost container, or NULL if no path goes through it. */
static inline Frame *
tracked(Stack *stack)
{
	return stack->depth == stack->ntracked ? &stack->frames[stack->ntracked - 1]
										   : NULL;
}

static inline bool
in_object(const Stack *stack)
{
	int d = stack->depth - 1;

	return stack->is_object[d >> 6] >> (d & 63) & 1;
}

/*
 * Scans one value and what it contains.  Returns the byte after it, or NULL.
 * Each turn of the loop is one value; before it stands its key, after it close
 * all containers that end there.
 */
static const char *
scan_value(Input *in, const char *p, const WjNode *node, WjGuess *guess,
		   WjValue *values)
{
	const char *end = in->end;
	Stack stack;
	WjValue v;
	int at = 0; /* the guess for the next key */
	int wrong = 0;

	stack.depth = 0;
	stack.ntracked = 0;
value:
	p = skip_space(p, end);
	if (unlikely(p == end))
		return fail(in, WJ_ERR_END, p);
	if (*p == '{' || *p == '[')
	{
		char closing = *p == '{' ? '}' : ']';

		if (!push(&stack, node, p))
			return fail(in, WJ_ERR_DEPTH, p);
		p = skip_space(p + 1, end);
		if (p < end && *p == closing)
			goto close;
		goto member;
	}
	p = scan_scalar(in, p, &v);
	if (unlikely(p == NULL))
		return NULL;
	if (node && node->path >= 0)
		values[node->path] = v;
after:
	if (stack.depth == 0)
	{
		if (guess)
			wj_guess_end(guess, wrong);
		return p;
	}
	p = skip_space(p, end);
	if (unlikely(p == end))
		return fail(in, WJ_ERR_END, p);
	if (*p == ',')
	{
		p = skip_space(p + 1, end);
		goto member;
	}
	if (unlikely(*p != (in_object(&stack) ? '}' : ']')))
		return fail(in, WJ_ERR_SYNTAX, p);
close:
	pop(&stack, p, values);
	p++;
	goto after;

member:
{
	Frame *frame = tracked(&stack);

	if (!in_object(&stack))
	{
		node = frame ? element_node(frame) : NULL;
		goto value;
	}
	if (guess && stack.depth == 1)
	{
		const WjMember *m;

		/* Members as they were expected, with nothing but scalars in them. */
		while ((m = wj_guess_member(guess, at, p, end)) != NULL)
		{
			node = m->node;
			forget_below(node, values);
			p += m->len;
			at++;
			if (unlikely(p == end || !begins_scalar(*p)))
				goto value;
			p = scan_scalar(in, p, &v);
			if (unlikely(p == NULL))
				return NULL;
			if (node && node->path >= 0)
				values[node->path] = v;
			if (p == end || *p != ',')
				goto after;
			p = skip_space(p + 1, end);
		}
	}
	if (unlikely(p == end))
		return fail(in, WJ_ERR_END, p);
	if (unlikely(*p != '"'))
		return fail(in, WJ_ERR_SYNTAX, p);
	v.ptr = p + 1;
	p = scan_string(in, p + 1, &v.escaped);
	if (unlikely(p == NULL))
		return NULL;
	v.len = (uint32_t) (p - v.ptr);
	node = frame ? key_node(frame->node, &v) : NULL;
	forget_below(node, values);
	p = skip_space(p + 1, end);
	if (unlikely(p == end))
		return fail(in, WJ_ERR_END, p);
	if (unlikely(*p != ':'))
		return fail(in, WJ_ERR_SYNTAX, p);
	p++;
	if (guess && stack.depth == 1 && p - v.ptr == (ptrdiff_t) v.len + 2)
	{
		at = wj_guess_learn(guess, at, v.ptr - 1, v.len + 3, node);
		wrong++;
	}
	goto value;
}
}

WjStatus
wj_scan(const WjPaths *paths, WjGuess *guess, const char *buf, size_t len,
		WjValue *values, size_t *errpos)
{
	Input in = {buf, buf, buf, WJ_OK};
	const char *p = buf;

	for (int i = 0; i < paths->npaths; i++)
		values[i].type = WJ_MISSING;
	if (likely(len > 0))
	{
		in.end += len;
		p = skip_space(p, in.end);
	}
	if (unlikely(p == in.end))
		p = fail(&in, WJ_ERR_EMPTY, in.end);
	else if (unlikely(len > UINT32_MAX))
		p = fail(&in, WJ_ERR_TOO_LONG, buf);
	else
		p = scan_value(&in, p, &paths->root,
					   wj_guess_begin(guess) ? guess : NULL, values);
	if (likely(p != NULL))
	{
		p = skip_space(p, in.end);
		if (likely(p == in.end))
			return WJ_OK;
		fail(&in, WJ_ERR_TRAILING, p);
	}
	if (errpos)
		*errpos = (size_t) (in.errat - buf);
	return in.status;
}
