/* Matrix products of a few rows with a kernel packed once for the whole sequence.
 *
 * Packed: panels of NR columns of the result; in a panel, for each k the NR factors that belong
 * to it, zeros after the last column. A tile of up to MR rows and NR columns stays in registers
 * while k runs. Vector extensions of gcc and clang; no intrinsics.
 */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define MR 12 /* 24 of 32 registers hold the tile */
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define MR 6 /* 12 of 16 registers */
#else
#define VECTOR_BYTES 16
#define MR 8 /* 16 of 32 registers on Arm */
#endif
typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
/* the same in memory, wherever it lies */
typedef real loose __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#define LANES (VECTOR_BYTES / (int)sizeof(real))
#define NR (2 * LANES)
#define DOTS 8 /* sums that run side by side */
/* Of a loop over the rows of a tile. Clang leaves one of twelve rows a loop, whose array of vectors
   is in memory and not in registers; gcc unrolls it anyway. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL
#endif

int64_t panel_width(void) { return NR; }

/* c (m x w, w <= NR * q) = c or 0, plus a (m x k) times q panels, the next of which is next numbers
   further; a's rows are ai apart, its columns ak. 2 q m vectors have to fit into registers. */
static inline __attribute__((always_inline)) void tile(const int m, const int q, int64_t w,
                                                       int64_t k, const real *a, int64_t ai,
                                                       int64_t ak, const real *panel, int64_t next,
                                                       int add, real *c, int64_t ldc) {
    vec sums[2 * MR];
    UNROLL for (int i = 0; i < 2 * q * m; i++) sums[i] = (vec){0};
    for (int64_t p = 0; p < k; p++) {
        vec b[8];
        UNROLL for (int j = 0; j < 2 * q; j++)
            b[j] = *(const loose *)(panel + j / 2 * next + p * NR + j % 2 * LANES);
        UNROLL for (int i = 0; i < m; i++) {
            const real x = a[i * ai + p * ak];
            UNROLL for (int j = 0; j < 2 * q; j++) sums[2 * q * i + j] += x * b[j];
        }
    }
    if (w == NR * q) {
        UNROLL for (int i = 0; i < m; i++)
            UNROLL for (int j = 0; j < 2 * q; j++) {
                loose *to = (loose *)(c + i * ldc + j * LANES);
                if (add) sums[2 * q * i + j] += *to;
                *to = sums[2 * q * i + j];
            }
        return;
    }
    UNROLL for (int i = 0; i < m; i++) { /* the last, narrower panel */
        real part[8 * LANES];
        UNROLL for (int j = 0; j < 2 * q; j++) *(loose *)(part + j * LANES) = sums[2 * q * i + j];
        for (int64_t j = 0; j < w; j++) c[i * ldc + j] = (add ? c[i * ldc + j] : 0) + part[j];
    }
}

/* the same for any m up to MR, with m known to the compiler; not inline, so compiled once */
static __attribute__((noinline)) void any_tile(int64_t m, int64_t w, int64_t k, const real *a,
                                               int64_t ai, int64_t ak, const real *panel, int add,
                                               real *c, int64_t ldc) {
    switch (m) {
#define CASE(m) case m: tile(m, 1, w, k, a, ai, ak, panel, 0, add, c, ldc); break;
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if MR > 6
    CASE(7) CASE(8)
#endif
#if MR > 8
    CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
    }
}

/* Of so few rows, several panels at once: one would leave most registers unused, and each sum would
   wait for the one before. */
#define AT_ONCE(m) ((m) * 4 <= MR ? 4 : MR / (m))

static __attribute__((noinline)) void wide_tile(int64_t m, int64_t k, const real *a, int64_t lda,
                                                const real *panel, int add, real *c, int64_t ldc) {
    switch (m) {
#define CASE(m) \
    case m: tile(m, AT_ONCE(m), NR * AT_ONCE(m), k, a, lda, 1, panel, k * NR, add, c, ldc); break;
    CASE(1) CASE(2) CASE(3)
#if MR > 6
    CASE(4)
#endif
#if MR > 8
    CASE(5) CASE(6)
#endif
#undef CASE
    }
}

/* c (rows x columns) = c or 0, plus a (rows x inner) times the packed kernel, in tiles that are as
   equal as can be. Where a's rows are a way of the first cache apart, or more, they may all belong
   to the same lines of it, which hold eight of them. */
static void product(int64_t rows, int64_t columns, int64_t inner, const real *a, int64_t lda,
                    const real *packed, int add, real *c, int64_t ldc) {
    const int64_t most = MR > 8 && inner * (int64_t)sizeof(real) >= 4096 ? 8 : MR;
    const int64_t tiles = (rows + most - 1) / most, step = tiles ? (rows + tiles - 1) / tiles : 1;
    const int64_t wide = tiles == 1 ? NR * AT_ONCE(rows) : NR;
    int64_t j = 0;
    if (wide > NR)
        for (; j + wide <= columns; j += wide)
            wide_tile(rows, inner, a, lda, packed + j * inner, add, c + j, ldc);
    for (; j < columns; j += NR) {
        const int64_t w = columns - j < NR ? columns - j : NR;
        for (int64_t i = 0; i < rows; i += step)
            any_tile(rows - i < step ? rows - i : step, w, inner, a + i * lda, lda, 1,
                     packed + j * inner, add, c + i * ldc + j, ldc);
    }
}

/* c (n numbers) = c or 0, plus the products of a with n rows of a kernel as torch has it */
static inline __attribute__((always_inline)) void dots(const int n, int64_t inner, const real *a,
                                                       const real *kernel, int add, real *c) {
    vec sums[DOTS];
    real rest[DOTS];
    UNROLL for (int q = 0; q < n; q++) sums[q] = (vec){0}, rest[q] = add ? c[q] : 0;
    int64_t p = 0;
    for (; p + LANES <= inner; p += LANES)
        UNROLL for (int q = 0; q < n; q++)
            sums[q] += *(const loose *)(a + p) * *(const loose *)(kernel + q * inner + p);
    for (; p < inner; p++)
        UNROLL for (int q = 0; q < n; q++) rest[q] += a[p] * kernel[q * inner + p];
    UNROLL for (int q = 0; q < n; q++) { /* halves onto halves: one after the other would take longer */
        real part[LANES];
        *(loose *)part = sums[q];
        for (int half = LANES / 2; half; half /= 2)
            for (int lane = 0; lane < half; lane++) part[lane] += part[lane + half];
        c[q] = rest[q] + part[0];
    }
}

/* c (rows x columns) = c or 0, plus a (rows x inner) times a kernel (columns x inner), packed or,
   where packing it would cost more than the few products do, as torch has it */
static void times(int packed, int64_t rows, int64_t columns, int64_t inner, const real *a,
                  int64_t lda, const real *kernel, int add, real *c, int64_t ldc) {
    if (packed) {
        product(rows, columns, inner, a, lda, kernel, add, c, ldc);
        return;
    }
    for (int64_t i = 0; i < rows; i++, a += lda, c += ldc) {
        int64_t j = 0;
        for (; j + DOTS <= columns; j += DOTS) dots(DOTS, inner, a, kernel + j * inner, add, c + j);
        for (; j < columns; j++) dots(1, inner, a, kernel + j * inner, add, c + j);
    }
}

/* the same with a block-diagonal kernel: its blocks, one after the other */
void blocks(int packed, int64_t count, int64_t rows, int64_t columns, int64_t inner,
                   const real *a, int64_t lda, const real *kernel, int add, real *c, int64_t ldc) {
    const int64_t m = columns / count, k = inner / count;
    const int64_t size = (packed ? (m + NR - 1) / NR * NR : m) * k;
    for (int64_t b = 0; b < count; b++)
        times(packed, rows, m, k, a + b * k, lda, kernel + b * size, add, c + b * m, ldc);
}

#define KC 256 /* rows in a block of the sum below: KC * NR numbers stay in the first cache */

/* the columns of a block, step by step: all its rows for each, zeros after the last column */
static void pack(int64_t rows, int64_t width, int64_t step, const real *from, int64_t ld,
                 real *to) {
    for (int64_t j = 0; j < width; j += step) {
        const int64_t w = width - j < step ? width - j : step;
        for (int64_t p = 0; p < rows; p++, to += step) {
            for (int64_t i = 0; i < w; i++) to[i] = from[p * ld + j + i];
            for (int64_t i = w; i < step; i++) to[i] = 0;
        }
    }
}

/* A kernel as torch has it: count blocks of units x inner, one below the other. */
typedef struct {
    int64_t count, units, inner, transposed;
    const real *from;
    real *to;
} kernel_t;

/* kernels, or their transposes, as product() reads them: panel by panel, block by block */
void panels(const kernel_t *kernel, int64_t kernels) {
    for (const kernel_t *end = kernel + kernels; kernel < end; kernel++) {
        const int64_t units = kernel->units, inner = kernel->inner;
        const int64_t across = kernel->transposed ? inner : units;
        const int64_t size = (across + NR - 1) / NR * NR * (units + inner - across);
        const real *from = kernel->from;
        real *to = kernel->to;
        for (int64_t b = 0; b < kernel->count; b++, from += units * inner, to += size) {
            if (kernel->transposed) {
                pack(units, inner, NR, from, inner, to);
                continue;
            }
            for (int64_t i = 0; i < units; i += NR)
                for (int64_t j = i; j < i + NR; j++)
                    for (int64_t p = 0; p < inner; p++)
                        to[i * inner + p * NR + j - i] = j < units ? from[j * inner + p] : 0;
        }
    }
}

/* how many numbers gradient() needs to work in */
int64_t gradient_work(int64_t columns) { return KC * (MR + (columns + NR) / NR * NR); }

typedef struct {
    int64_t rows, columns, units, lda, ldb, ldc;
    const real *a, *b;
    real *c, *work;
} gradient_t;

/* c (units x columns) += a' b, summed over the rows of a (rows x units) and b (rows x columns):
   the gradient of a kernel; a slice has some of the units */
void gradient(const call_t *call) {
    const gradient_t *g = call->arguments;
    FOR_SLICES(call) {
        real *few = g->work + slice * gradient_work(g->columns), *block = few + KC * MR;
        const int64_t u0 = g->units * slice / call->count;
        const int64_t u1 = g->units * (slice + 1) / call->count;
        for (int64_t p = 0; p < g->rows; p += KC) {
            const int64_t k = g->rows - p < KC ? g->rows - p : KC;
            pack(k, g->columns, NR, g->b + p * g->ldb, g->ldb, block);
            for (int64_t i = u0; i < u1; i += MR) {
                const int64_t m = u1 - i < MR ? u1 - i : MR;
                pack(k, m, MR, g->a + p * g->lda + i, g->lda, few);
                for (int64_t j = 0; j < g->columns; j += NR)
                    any_tile(m, g->columns - j < NR ? g->columns - j : NR, k, few, 1, MR,
                             block + j * k, 1, g->c + i * g->ldc + j, g->ldc);
            }
        }
    }
}

/* several of them, one after the other, without a second thread */
void gradients(const gradient_t *each, int64_t count) {
    for (int64_t k = 0; k < count; k++) {
        const call_t call = {0, 0, 0, 1, 1, (void *)(each + k)};
        gradient(&call);
    }
}

/* The gradient of a vector, or of a number that all units share, as each slice has summed it. */
typedef struct {
    int64_t slices, stride, width, shared;
    const real *from;
    real *to;
} sum_t;

/* adds them to the gradients of parameters */
void sums(const sum_t *each, int64_t count) {
    for (const sum_t *end = each + count; each < end; each++) {
        real all = 0;
        for (int64_t j = 0; j < each->width; j++) {
            real sum = 0;
            for (int64_t k = 0; k < each->slices; k++) sum += each->from[k * each->stride + j];
            if (each->shared) all += sum;
            else each->to[j] += sum;
        }
        if (each->shared) each->to[0] += all;
    }
}
