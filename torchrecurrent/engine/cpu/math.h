/* Elementary functions of one real type, for loops that a C compiler vectorises.

   c_math.prelude() puts `#define TR_DOUBLE 0` (float) or `1` (double) before this text.
   Rules that keep `for (i) y[i] = tr_f(x[i])` vectorisable, without -ffast-math:
   - both sides of every conditional are computed and one is selected, so no branch is left;
   - a shift of bits is of unsigned words: AVX2 has no arithmetic shift of 64-bit lanes;
   - an integer in a float's low bits is read off or put there by adding a power of two,
     as AVX2 has no conversion between double and 64-bit integers.
   A comparison is written so that NaN takes the side that keeps it; sign(NaN) is 0, as torch's. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if TR_DOUBLE
typedef double real;
typedef uint64_t tr_bits;
#define TR_LIBM(name) name
enum { TR_MANTISSA = 52, TR_BIAS = 1023 };
#else
typedef float real;
typedef uint32_t tr_bits;
#define TR_LIBM(name) name##f
enum { TR_MANTISSA = 23, TR_BIAS = 127 };
#endif

/* Always: a step with many functions is more than gcc likes to inline, and a loop that calls one is
   not vectorised. */
#define TR_INLINE static inline __attribute__((always_inline))
#define TR_ONE ((tr_bits)TR_BIAS << TR_MANTISSA) /* the bits of 1 */

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)
#define TR_FUSES 1
#else
#define TR_FUSES 0
#endif

/* One rounding where the processor has it in hardware. Elsewhere fma() is a slow call, and the
   bounds hold with two roundings too: every ln 2 below is split so that n * HI is exact. */
TR_INLINE real tr_fma(real a, real b, real c)
{
#if TR_FUSES
    return TR_LIBM(fma)(a, b, c);
#else
    return a * b + c;
#endif
}

TR_INLINE tr_bits tr_to_bits(real x)
{
    tr_bits b;
    memcpy(&b, &x, sizeof b);
    return b;
}

TR_INLINE real tr_from_bits(tr_bits b)
{
    real x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* Coefficients: those of the least maximal error of the result (Lawson's iteration, 50 digits). */
#if TR_DOUBLE
static const real TR_EXP_LOW = -746.0, TR_EXP_HIGH = 710.0, TR_EXPM1_LOW = -40.0;
static const real TR_LN2_HIGH = 6.93147180369123816490e-01; /* its last 20 bits are 0 */
static const real TR_LN2_LOW = 1.90821492927058770002e-10;
static const real TR_NORMAL = 2.2250738585072014e-308, TR_LIFT = 0x1p54, TR_LIFT_LOG2 = 54.0;
static const real TR_ROUND = 0x1.8p52, TR_UNIT = 0x1p52;

TR_INLINE real tr_exp_tail(real r) /* (exp(r) - 1 - r) / r^2 to 4e-18, |r| <= ln(2) / 2 */
{
    real q = 2.500032540167515307276e-8;
    q = tr_fma(q, r, 2.76303797349467592846e-7);
    q = tr_fma(q, r, 2.755758619413863049962e-6);
    q = tr_fma(q, r, 2.480149275795220165478e-5);
    q = tr_fma(q, r, 1.984126950607755438097e-4);
    q = tr_fma(q, r, 1.388888894392966381977e-3);
    q = tr_fma(q, r, 8.333333333494993511813e-3);
    q = tr_fma(q, r, 4.16666666665291489302e-2);
    q = tr_fma(q, r, 0.166666666666664112749);
    return tr_fma(q, r, 0.5000000000000010727479);
}

TR_INLINE real tr_log_tail(real t) /* (log((1+s)/(1-s)) / s - 2) / t to 2e-17, t = s^2 < 0.04 */
{
    real q = 0.1536807767653237657396;
    q = tr_fma(q, t, 0.1525020408935331027337);
    q = tr_fma(q, t, 0.1818635524446812772975);
    q = tr_fma(q, t, 0.2222213852293550896379);
    q = tr_fma(q, t, 0.285714293950140833652);
    q = tr_fma(q, t, 0.3999999999616327411999);
    return tr_fma(q, t, 0.6666666666667270779526);
}
#else
static const real TR_EXP_LOW = -104.0f, TR_EXP_HIGH = 89.0f, TR_EXPM1_LOW = -20.0f;
static const real TR_LN2_HIGH = 0.693359375f; /* nine bits: exact times any exponent */
static const real TR_LN2_LOW = -2.12194440054690583e-4f;
static const real TR_NORMAL = 1.17549435e-38f, TR_LIFT = 0x1p24f, TR_LIFT_LOG2 = 24.0f;
static const real TR_ROUND = 0x1.8p23f, TR_UNIT = 0x1p23f;

TR_INLINE real tr_exp_tail(real r) /* (exp(r) - 1 - r) / r^2 to 3e-9, |r| <= ln(2) / 2 */
{
    real q = 1.381451519e-3f;
    q = tr_fma(q, r, 8.368778630e-3f);
    q = tr_fma(q, r, 4.166839360e-2f);
    q = tr_fma(q, r, 0.1666652011f);
    return tr_fma(q, r, 0.4999999341f);
}

TR_INLINE real tr_log_tail(real t) /* (log((1+s)/(1-s)) / s - 2) / t to 3e-9, t = s^2 <= 0.04 */
{
    real q = 0.3036043735f;
    q = tr_fma(q, t, 0.3995783145f);
    return tr_fma(q, t, 0.6666694731f);
}
#endif

TR_INLINE real tr_abs(real x) { return TR_LIBM(fabs)(x); }
TR_INLINE real tr_sqrt(real x) { return TR_LIBM(sqrt)(x); }
TR_INLINE real tr_sin(real x) { return TR_LIBM(sin)(x); }
TR_INLINE real tr_cos(real x) { return TR_LIBM(cos)(x); }
/* NaN from either side, as in torch.maximum: where b is NaN, a > b is false. */
TR_INLINE real tr_max(real a, real b) { return ((a > b) | (a != a)) ? a : b; }
TR_INLINE real tr_min(real a, real b) { return ((a < b) | (a != a)) ? a : b; }
TR_INLINE real tr_sign(real x) { return (real)(x > 0) - (real)(x < 0); }
TR_INLINE real tr_relu(real x) { return x < 0 ? 0 : x; }

/* Adding UNIT rounds to a whole number; from there on all numbers are whole. SSE2 has no floor. */
TR_INLINE real tr_floor(real x)
{
    const real near = TR_LIBM(copysign)((tr_abs(x) + TR_UNIT) - TR_UNIT, x);
    return tr_abs(x) < TR_UNIT ? (near > x ? near - 1 : near) : x;
}

/* Keeps NaN. Both comparisons are with x: gcc 12 makes a chain of masks of nested ones. */
TR_INLINE real tr_clamp(real x, real low, real high)
{
    const real y = x < low ? low : x;
    return x > high ? high : y;
}

/* x = n ln 2 + r with n whole: returns exp(r) - 1, of full relative accuracy, and sets
   n + 2 BIAS, which is positive. */
TR_INLINE real tr_exp_reduced(real x, tr_bits *n)
{
    const real shifted = tr_fma(x, (real)1.44269504088896340736, TR_ROUND);
    const real whole = shifted - TR_ROUND;
    const real r = tr_fma(whole, -TR_LN2_LOW, tr_fma(whole, -TR_LN2_HIGH, x));
    *n = tr_to_bits(shifted) - tr_to_bits(TR_ROUND) + 2 * TR_BIAS;
    return tr_fma(r * r, tr_exp_tail(r), r);
}

/* p 2^n, given n + 2 BIAS, in two factors, for n may be out of the exponent's range while the
   result, or its rounding to a denormal, is not: only the last product rounds. */
TR_INLINE real tr_scaled(real p, tr_bits n)
{
    const tr_bits half = n >> 1;
    return p * tr_from_bits(half << TR_MANTISSA) * tr_from_bits((n - half) << TR_MANTISSA);
}

TR_INLINE real tr_exp_within(real x) /* exp for LOW <= x <= HIGH */
{
    tr_bits n;
    const real p = tr_exp_reduced(x, &n) + 1;
    return tr_scaled(p, n);
}

TR_INLINE real tr_exp(real x)
{
    return tr_exp_within(tr_clamp(x, TR_EXP_LOW, TR_EXP_HIGH));
}

/* exp(-|x|). */
TR_INLINE real tr_exp_decay(real x)
{
    const real a = -tr_abs(x);
    return tr_exp_within(a < TR_EXP_LOW ? TR_EXP_LOW : a);
}

TR_INLINE real tr_expm1_negative(real x) /* exp(x) - 1, x <= 0; below EXPM1_LOW it is -1 */
{
    tr_bits n;
    const real p = tr_exp_reduced(x < TR_EXPM1_LOW ? TR_EXPM1_LOW : x, &n);
    const real scale = tr_from_bits((n - TR_BIAS) << TR_MANTISSA);
    return tr_fma(scale, p, scale - 1);
}

/* In halves of 2^n, which may be out of range where the result is not, but not in halves of x. */
TR_INLINE real tr_expm1(real x)
{
    tr_bits n;
    const real p = tr_exp_reduced(tr_clamp(x, TR_EXPM1_LOW, TR_EXP_HIGH), &n);
    const real half = tr_from_bits((n - TR_BIAS - 1) << TR_MANTISSA);
    return tr_abs(x) < TR_NORMAL ? x : 2 * tr_fma(half, p, half - (real)0.5);
}

/* log(1 + f) + n ln 2, -0.25 <= f <= 0.5: the series in s = f / (2 + f), arranged so that the
   largest term f is added last. */
TR_INLINE real tr_log_reduced(real f, real n)
{
    const real s = f / (2 + f), t = s * s, half = (real)0.5 * f * f;
    const real tail = s * (half + t * tr_log_tail(t)) + n * TR_LN2_LOW;
    return n * TR_LN2_HIGH - ((half - tail) - f);
}

TR_INLINE real tr_log(real x)
{
    const real y = x < TR_NORMAL ? x * TR_LIFT : x; /* a denormal has no exponent bits */
    const tr_bits bits = tr_to_bits(y), cut = TR_ONE - tr_to_bits((real)0.75);
    const tr_bits n = (bits + cut) >> TR_MANTISSA; /* with BIAS: y = m 2^n, 0.75 <= m < 1.5 */
    const real m = tr_from_bits(bits - (n << TR_MANTISSA) + TR_ONE);
    const real whole = tr_from_bits(n | tr_to_bits(TR_UNIT)) - (TR_UNIT + TR_BIAS);
    const real log = tr_log_reduced(m - 1, x < TR_NORMAL ? whole - TR_LIFT_LOG2 : whole);
    const real special = x == 0 ? -(real)INFINITY : x > 0 ? x : (real)NAN;
    return ((x > 0) & (x < (real)INFINITY)) ? log : special;
}

/* The logarithm of the rounded sum, and what the rounding lost. */
TR_INLINE real tr_log1p(real x)
{
    const real u = 1 + x, y = tr_log(u) - ((u - 1) - x) / u;
    const real special = x == -1 ? -(real)INFINITY : x >= 0 ? x : (real)NAN;
    return ((x > -1) & (x < (real)INFINITY) & (x != 0)) ? y : special;
}

TR_INLINE real tr_log1p_unit(real z) /* log(1 + z), 0 <= z <= 1 */
{
    const real f = z > (real)0.5 ? (z - 1) * (real)0.5 : z; /* 1 + z = 2 (1 + f), exactly */
    return tr_log_reduced(f, z > (real)0.5 ? 1 : 0);
}

TR_INLINE real tr_logsigmoid(real x)
{
    return (x < 0 ? x : 0) - tr_log1p_unit(tr_exp_decay(x));
}

TR_INLINE real tr_softplus(real x) /* torch's: beta 1, threshold 20 */
{
    const real y = (x > 0 ? x : 0) + tr_log1p_unit(tr_exp_decay(x));
    return x > 20 ? x : y;
}

/* Of z = exp(-|x|): neither side overflows, and the left tail keeps its relative accuracy down to
   denormals, where torch has 0. 1 - z / (1 + z) for 1 / (1 + z) halves the error of the sum. */
TR_INLINE real tr_sigmoid(real x)
{
    const real z = tr_exp_decay(x), w = z / (1 + z), scale = x >= 0 ? 1 : z;
    return tr_fma(scale, -w, scale);
}

/* c - a b, exactly where it is small beside c; without a fused multiply-add by Dekker's halves. */
TR_INLINE real tr_rest(real a, real b, real c)
{
#if TR_FUSES
    return TR_LIBM(fma)(-a, b, c);
#else
    const real split = TR_DOUBLE ? 134217729 : 4097, as = split * a, bs = split * b, ab = a * b;
    const real ah = as - (as - a), al = a - ah, bh = bs - (bs - b), bl = b - bh;
    return (c - ab) - (((ah * bh - ab) + ah * bl + al * bh) + al * bl);
#endif
}

/* exp(p log(a)), 0 < a < infinity: logarithm and exponent in two numbers each, as what rounding
   loses counts as often as they are large. The logarithm is 2 s + s^3 tail + n ln 2, with
   s = f / (2 + f). The sum with 0 keeps a compiler from fusing the product with what follows. */
TR_INLINE real tr_pow_positive(real a, real p)
{
    const real y = a < TR_NORMAL ? a * TR_LIFT : a;
    const tr_bits bits = tr_to_bits(y), cut = TR_ONE - tr_to_bits((real)0.75);
    const tr_bits k = (bits + cut) >> TR_MANTISSA;
    const real f = tr_from_bits(bits - (k << TR_MANTISSA) + TR_ONE) - 1, d = 2 + f, s = f / d;
    const real whole = tr_from_bits(k | tr_to_bits(TR_UNIT)) - (TR_UNIT + TR_BIAS);
    const real n = a < TR_NORMAL ? whole - TR_LIFT_LOG2 : whole;
    const real rest = tr_rest(s, d, f) - s * (f - (d - 2));
    const real log = n * TR_LN2_HIGH + 2 * s, small = 2 * s - (log - n * TR_LN2_HIGH);
    const real tail = s * s * s * tr_log_tail(s * s) + n * TR_LN2_LOW;
    const real e = tr_fma(p, log, 0), low = p * (small + (2 * rest / d + tail)) - tr_rest(p, log, e);
    const int within = tr_abs(e) < 2 * TR_EXP_HIGH; /* else exp is 0 or infinity */
    const real sum = within ? e + low : e, lost = within ? low - (sum - e) : 0;
    tr_bits m;
    const real q = tr_exp_reduced(tr_clamp(sum, TR_EXP_LOW, TR_EXP_HIGH), &m) + 1;
    return tr_scaled(tr_fma(q, lost, q), m);
}

/* C's pow, which is torch's. Where p is a number of the step, the compiler knows most of it. */
TR_INLINE real tr_pow(real x, real p)
{
    const real a = tr_abs(x);
    const int whole = tr_floor(p) == p, odd = whole & (2 * tr_floor(p / 2) != p);
    const real limit = (a == 0) == (p > 0) ? 0 : (real)INFINITY;
    const real power = ((a > 0) & (a < (real)INFINITY)) ? tr_pow_positive(a, p) : limit;
    const real known = a == 1 ? 1 : power, signed_ = odd ? TR_LIBM(copysign)(known, x) : known;
    const int outside = (x < 0) & (a < (real)INFINITY) & !whole;
    const real y = (outside | (x != x) | (p != p)) ? (real)NAN : signed_;
    return ((p == 0) | (x == 1)) ? 1 : y;
}

#if TR_DOUBLE
/* Below 0.625 x + x^3 P/Q, above 1 - 2 / (exp(2 x) + 1): the quotient is selected by its parts,
   so there is one division. From 22 on the result is 1. */
TR_INLINE real tr_tanh(real x)
{
    const real a = tr_abs(x) > 22 ? 22 : tr_abs(x), t = a * a;
    real p = -1.990896651658345169637e-4, q = 2.064390912310180603317e-4;
    tr_bits n;
    p = tr_fma(p, t, -0.0204968031926573204876);
    p = tr_fma(p, t, -0.3333333333333332379486);
    q = tr_fma(q, t, 0.02328867092217474070479);
    q = tr_fma(q, t, 0.4614904095779571314206);
    q = tr_fma(q, t, 1);
    const real e = tr_exp_reduced(2 * a, &n) + 1;
    const real big = tr_fma(e, tr_from_bits((n - TR_BIAS) << TR_MANTISSA), 1);
    const real quotient = (a < 0.625 ? a * t * p : -2) / (a < 0.625 ? q : big);
    return copysign((a < 0.625 ? a : 1) + quotient, x);
}

TR_INLINE real tr_erf(real x) { return erf(x); }
#else
/* Of m = exp(-2 |x|) - 1, which keeps the relative accuracy of a small x. At most 1 and monotonic;
   rationals of degree 9/8 and 11/8 were slower, up to 6 ulp off and not monotonic. */
TR_INLINE real tr_tanh(real x)
{
    const real m = tr_expm1_negative(-2 * tr_abs(x));
    return TR_LIBM(copysign)(m / (2 + m), x);
}

/* Below 0.9275 x P(x^2), above 1 - exp(x R(x)), which is 1 from 4 on. */
TR_INLINE real tr_erf(real x)
{
    const real a = tr_abs(x) > 4 ? 4 : tr_abs(x), t = x * x;
    tr_bits n;
    real p = -5.953766528e-4f, r = 2.139853142e-4f;
    p = tr_fma(p, t, 4.985945125e-3f);
    p = tr_fma(p, t, -2.676172247e-2f);
    p = tr_fma(p, t, 0.1128168258709569f);
    p = tr_fma(p, t, -0.3761248109952516f);
    p = tr_fma(p, t, 0.12837914768899899f);
    r = tr_fma(r, a, -3.214958114e-3f);
    r = tr_fma(r, a, 2.288997091e-2f);
    r = tr_fma(r, a, -0.10526185192335103f);
    r = tr_fma(r, a, -0.6357183095672267f);
    r = tr_fma(r, a, -1.1285143624234212f);
    const real m = tr_exp_reduced(r * a, &n);
    const real scale = tr_from_bits((n - TR_BIAS) << TR_MANTISSA);
    return a < 0.9275f ? tr_fma(x, p, x) : copysignf(1 - tr_fma(scale, m, scale), x);
}
#endif
