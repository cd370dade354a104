/* Threads that share the units of a sequence, and so meet within each step. */
typedef struct {
    int64_t arrived, away[7]; /* in a cache line of its own */
    int64_t meeting, late, alone, far[5];
} team_t;

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE __asm__ volatile("yield")
#else
#define PAUSE (void)0
#endif
#if defined(__linux__) || defined(__APPLE__)
extern int sched_yield(void);
#define YIELD sched_yield()
#else
#define YIELD PAUSE
#endif
#define PATIENCE (1 << 14) /* pauses: some tenths of a millisecond */

/* Waits for all threads. Where cores have other work too, a thread may be away for milliseconds:
   if that happens at more than one of eight meetings, the threads part. Returns whether they do,
   which is the same for all. */
static inline int64_t meet(team_t *team, int64_t count, int64_t *meeting) {
    const int64_t next = ++*meeting;
    if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL) == next * count) {
        const int64_t late = __atomic_load_n(&team->late, __ATOMIC_RELAXED);
        if (late > 3 && 8 * late > next) team->alone = 1;
        __atomic_store_n(&team->meeting, next, __ATOMIC_RELEASE);
        return team->alone;
    }
    for (int64_t k = 0; __atomic_load_n(&team->meeting, __ATOMIC_ACQUIRE) < next; k++) {
        if (k < PATIENCE) PAUSE;
        else YIELD;
        if (k == PATIENCE) __atomic_add_fetch(&team->late, 1, __ATOMIC_RELAXED);
    }
    return team->alone;
}

/* The first of a slice's units: those of a panel of a packed kernel stay together. */
static inline int64_t unit(int64_t width, int64_t panel, int64_t slice, int64_t count) {
    const int64_t first = (width + panel - 1) / panel * slice / count * panel;
    return first < width ? first : width;
}

/* The first row of a step; of the one after the last, all rows. */
static inline int64_t row(const sequence_t *s, int64_t t) {
    if (!s->offsets) return t * s->batch;
    return t < s->T ? s->offsets[t] : s->offsets[t - 1] + s->sizes[t - 1];
}
/* The columns from first to end of each of some parts of a product. */
static inline void multiply(const sequence_t *s, int packed, int64_t rows, int64_t parts,
                            int64_t width, int64_t first, int64_t end, int64_t inner,
                            const real *a, int64_t lda, const real *kernel, int add, real *c,
                            int64_t ldc) {
    if (end - first == width) {
        s->blocks(packed, 1, rows, parts * width, inner, a, lda, kernel, add, c, ldc);
        return;
    }
    for (int64_t j = first; j < parts * width; j += width)
        s->blocks(1, 1, rows, end - first, inner, a, lda, kernel + j * inner, add, c + j, ldc);
}
