// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "find/pattern.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* How common a byte is in the memory of a program: zeros, then small numbers and signs, then text and code. A
 * guess that costs only time if it is wrong. */
static unsigned commonness(uint8_t b)
{
	if (b == 0)
		return 4;
	if (b == 0xff || b <= 8)
		return 3;
	if (b == 0x48 || b == 0x7f || b == 0x55 || b == 0x56 || b == 0x8b)
		return 2;
	return b >= 0x20 && b < 0x7f ? 1 : 0;
}

static unsigned cost(const struct pattern *p, size_t i)
{
	return p->mask[i] == 0xff ? commonness(p->value[i])
				  : 5 + 8 - (unsigned)__builtin_popcount(p->mask[i]);
}

static int finish(struct pattern *p, uint64_t align, struct err *err)
{
	size_t best = p->len, second = p->len;

	if (!align)
		return err_set(err, -EINVAL, "an alignment of 0 makes no sense");
	p->align = align;
	for (size_t i = 0; i < p->len; i++) {
		if (!p->mask[i])
			continue;
		if (best == p->len || cost(p, i) < cost(p, best)) {
			second = best;
			best = i;
		} else if (second == p->len || cost(p, i) < cost(p, second)) {
			second = i;
		}
	}
	if (best == p->len)
		return err_set(err, -EINVAL, "the mask leaves nothing to look for");
	if (second == p->len)
		second = best;
	p->anchor[0] = best < second ? best : second;
	p->anchor[1] = best < second ? second : best;
	return 0;
}

int pattern_value(struct pattern *p, uint64_t value, unsigned width, uint64_t mask, uint64_t align,
		  struct err *err)
{
	uint64_t all = width >= 8 ? UINT64_MAX : (1ull << (8 * width)) - 1;

	memset(p, 0, sizeof(*p));
	if (width < 1 || width > 8)
		return err_set(err, -EINVAL, "a value has 1 to 8 bytes, not %u", width);
	if (value & ~all)
		return err_set(err, -EINVAL, "0x%" PRIx64 " does not fit into %u byte%s", value, width,
			       width == 1 ? "" : "s");
	if (value & ~mask)
		return err_set(err, -EINVAL,
			       "the value has bits that the mask 0x%" PRIx64
			       " leaves out, so nothing can match",
			       mask);
	p->len = width;
	for (unsigned i = 0; i < width; i++) {
		p->value[i] = (uint8_t)(value >> (8 * i));
		p->mask[i] = (uint8_t)(mask >> (8 * i));
	}
	return finish(p, align, err);
}

static int digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

int pattern_hex(struct pattern *p, const char *hex, uint64_t align, struct err *err)
{
	memset(p, 0, sizeof(*p));
	for (const char *s = hex; *s;) {
		if (isspace((unsigned char)*s)) {
			s++;
			continue;
		}
		if (p->len == PATTERN_MAX)
			return err_set(err, -EINVAL, "a pattern of more than %d bytes", PATTERN_MAX);
		if (s[0] == '?' && s[1] == '?') {
			p->len++;
		} else if (digit(s[0]) >= 0 && digit(s[1]) >= 0) {
			p->mask[p->len] = 0xff;
			p->value[p->len++] = (uint8_t)(digit(s[0]) * 16 + digit(s[1]));
		} else {
			return err_set(err, -EINVAL, "'%.20s' is no byte: two hex digits, or ??", s);
		}
		s += 2;
	}
	if (!p->len)
		return err_set(err, -EINVAL, "no bytes to look for");
	return finish(p, align, err);
}

static bool matches(const struct pattern *p, const uint8_t *at)
{
	for (size_t i = 0; i < p->len; i++)
		if ((at[i] & p->mask[i]) != p->value[i])
			return false;
	return true;
}

/* Positions from..last one by one; n hits so far. Returns how many by now. */
static size_t search_plain(const struct pattern *p, const uint8_t *buf, size_t from, size_t last,
			   uint64_t base, uint64_t *hit, size_t max, size_t n)
{
	for (size_t i = from; i <= last; i++) {
		if (!matches(p, buf + i) || (base + i) % p->align)
			continue;
		if (n < max)
			hit[n] = base + i;
		n++;
	}
	return n;
}

size_t pattern_search_portable(const struct pattern *p, const uint8_t *buf, size_t len, uint64_t base,
			       uint64_t *hit, size_t max)
{
	size_t a = cost(p, p->anchor[0]) <= cost(p, p->anchor[1]) ? p->anchor[0] : p->anchor[1], n = 0, last;

	if (len < p->len)
		return 0;
	last = len - p->len;
	if (p->mask[a] != 0xff)
		return search_plain(p, buf, 0, last, base, hit, max, 0);
	for (size_t i = 0; i <= last;) {
		const uint8_t *f = memchr(buf + i + a, p->value[a], last - i + 1);

		if (!f)
			break;
		i = (size_t)(f - buf) - a;
		n = search_plain(p, buf, i, i, base, hit, max, n);
		i++;
	}
	return n;
}

#ifdef __x86_64__
#define STEP 32

/* Of 32 positions from base on, those that are aligned. STEP must be a multiple of the alignment. */
static uint32_t aligned_bits(uint64_t base, uint64_t align)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < STEP; i++)
		if ((base + i) % align == 0)
			bits |= 1u << i;
	return bits;
}

/* Compares 32 positions at once by their two anchor bytes; what is left is looked at in full. */
__attribute__((target("avx2"))) static size_t
search_avx2(const struct pattern *p, const uint8_t *buf, size_t len, uint64_t base, uint64_t *hit, size_t max)
{
	size_t a = p->anchor[0], b = p->anchor[1], i = 0, n = 0, last;
	const __m256i va = _mm256_set1_epi8((char)p->value[a]), ma = _mm256_set1_epi8((char)p->mask[a]);
	const __m256i vb = _mm256_set1_epi8((char)p->value[b]), mb = _mm256_set1_epi8((char)p->mask[b]);
	bool cheap = STEP % p->align == 0;
	uint32_t aligned = cheap ? aligned_bits(base, p->align) : UINT32_MAX;

	if (len < p->len)
		return 0;
	last = len - p->len;
	/* the later anchor's 32 bytes must be in the buffer */
	for (; len >= b + STEP && i <= len - b - STEP && i + STEP - 1 <= last; i += STEP) {
		__m256i x = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(buf + i + a)), ma);
		__m256i y = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(buf + i + b)), mb);
		__m256i eq = _mm256_and_si256(_mm256_cmpeq_epi8(x, va), _mm256_cmpeq_epi8(y, vb));
		uint32_t m = (uint32_t)_mm256_movemask_epi8(eq) & aligned;

		for (; m; m &= m - 1) {
			size_t at = i + (unsigned)__builtin_ctz(m);

			if (!matches(p, buf + at) || (!cheap && (base + at) % p->align))
				continue;
			if (n < max)
				hit[n] = base + at;
			n++;
		}
	}
	return search_plain(p, buf, i, last, base, hit, max, n);
}

static bool have_avx2(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2");
}
#endif

size_t pattern_search(const struct pattern *p, const uint8_t *buf, size_t len, uint64_t base, uint64_t *hit,
		      size_t max)
{
#ifdef __x86_64__
	if (have_avx2())
		return search_avx2(p, buf, len, base, hit, max);
#endif
	return pattern_search_portable(p, buf, len, base, hit, max);
}

const char *pattern_engine(void)
{
#ifdef __x86_64__
	if (have_avx2())
		return "AVX2";
#endif
	return "portable";
}
