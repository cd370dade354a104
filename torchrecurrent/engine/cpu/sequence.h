/* What a kernel of a cell is given. */
#if defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define IVDEP _Pragma("GCC ivdep")
#endif
/* sizes: how many sequences run at each step, offsets: where its rows begin; both null if all
   are equally long. w: widths, the widest last. packed: kernels are as blocks() wants them, in
   panels. bounds: the first sequence of each slice; null if all have as many. chunk: how many steps of the input are projected at once, if threads share the units
   as a team; null if they share the batch. */
typedef struct {
    void **p;
    const double *c;
    const int64_t *sizes, *offsets, *w;
    blocks_t *blocks;
    int64_t T, I, batch, keep, packed, chunk, panel;
    void *team;
    const int64_t *bounds;
} sequence_t;

/* The first sequence of a slice. */
static inline int64_t begin(const sequence_t *s, int64_t slice, int64_t count) {
    return s->bounds ? s->bounds[slice] : s->batch * slice / count;
}
