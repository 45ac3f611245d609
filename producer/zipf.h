/*
 * zipf.h
 *	  Draws ranks 0..n-1 where rank r has weight 1 / (r + 1)^skew.
 */
#ifndef WEIR_PRODUCER_ZIPF_H
#define WEIR_PRODUCER_ZIPF_H

#include <stdint.h>

typedef struct Zipf Zipf;

/*
 * zipf_new: tables for n ranks (8 bytes each; none if skew is 0).  Returns NULL when memory is
 * out; free with zipf_free.
 */
extern Zipf *zipf_new(uint32_t n, double skew);
extern void zipf_free(Zipf *zipf);

/* zipf_draw: a rank, from 64 random bits. */
extern uint32_t zipf_draw(const Zipf *zipf, uint64_t bits);

#endif
