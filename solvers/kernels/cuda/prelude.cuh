// What all device code begins with. Defined from outside: V, the type of the entries of vectors, and THREADS, those of a block.
// Sums are in double precision, of reals or of pairs of reals; nothing here is of a library, so that it compiles anywhere.
typedef long long Index;
struct Pair32 { float re, im; };
struct Pair64 { double re, im; };

__device__ double wide(float x) { return x; }
__device__ double wide(double x) { return x; }
__device__ Pair64 wide(Pair32 x) { return Pair64{x.re, x.im}; }
__device__ Pair64 wide(Pair64 x) { return x; }

__device__ Pair64 operator+(Pair64 x, Pair64 y) { return Pair64{x.re + y.re, x.im + y.im}; }
__device__ Pair64 operator-(Pair64 x, Pair64 y) { return Pair64{x.re - y.re, x.im - y.im}; }
__device__ Pair64 operator*(double a, Pair64 x) { return Pair64{a * x.re, a * x.im}; }
__device__ Pair64 operator*(Pair64 x, Pair64 y) { return Pair64{x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re}; }

__device__ double conjugate(double x) { return x; }
__device__ Pair64 conjugate(Pair64 x) { return Pair64{x.re, -x.im}; }
__device__ double along(double x, double y) { return x * y; }  // Re(x^H y)
__device__ double along(Pair64 x, Pair64 y) { return x.re * y.re + x.im * y.im; }

__device__ void store(float *place, double x) { *place = static_cast<float>(x); }
__device__ void store(double *place, double x) { *place = x; }
__device__ void store(Pair32 *place, Pair64 x) { *place = Pair32{static_cast<float>(x.re), static_cast<float>(x.im)}; }
__device__ void store(Pair64 *place, Pair64 x) { *place = x; }

typedef decltype(wide(V())) W;  // the type of a sum of entries

__device__ bool is_finite(double x) { return x - x == 0.0; }
// numerator / denominator where that is finite and the denominator positive, else 0: the vectors then stay as they are.
__device__ double quotient(double numerator, double denominator) {
    return denominator > 0.0 && is_finite(denominator) && is_finite(numerator) ? numerator / denominator : 0.0;
}

// Blocks of k columns are stored row after row. Thread t of a block works for column t % k, on every gridDim.x * rows-th row.
struct Share {
    Index column, row, first, step;  // row: which of the block's rows; first: the first row of the thread, none if beyond
    bool idle;                       // a thread for which the block has no whole row left
};
__device__ Share share(Index k) {
    const Index rows = blockDim.x / k, row = threadIdx.x / k;
    return Share{threadIdx.x % k, row, blockIdx.x * rows + row, gridDim.x * rows, row >= rows};
}
#define EACH_ROW(i, n, s) for (Index i = (s).idle ? (n) : (s).first; i < (n); i += (s).step)

// The sum over a block of one number a thread, for each column; in shared[column] when all have returned.
__device__ void fold(double value, double *shared, Index k) {
    const Index rows = blockDim.x / k, row = threadIdx.x / k;
    Index half = 1;
    while (half < rows) half *= 2;
    shared[threadIdx.x] = value;
    __syncthreads();
    for (half /= 2; half > 0; half /= 2) {
        if (row < half && row + half < rows) shared[threadIdx.x] += shared[threadIdx.x + half * k];
        __syncthreads();
    }
}

// Sums over all threads of COUNT numbers each, a column apart, into out[0..COUNT) (k,). Every block leaves its own in `partials`
// (COUNT, gridDim.x, k); the last one to come, by the ticket, adds them up in the order of the blocks: the same bits every time.
template <int COUNT>
__device__ void total(const double (&mine)[COUNT], double *const (&out)[COUNT], Index k, double *partials, unsigned int *ticket) {
    __shared__ double shared[THREADS];
    __shared__ bool last;
    const Index rows = blockDim.x / k, row = threadIdx.x / k, column = threadIdx.x % k, blocks = gridDim.x;
    for (int c = 0; c < COUNT; c++) {
        fold(mine[c], shared, k);
        if (threadIdx.x < k) partials[(c * blocks + blockIdx.x) * k + column] = shared[column];
        __syncthreads();
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(ticket, 1u) == blocks - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    for (int c = 0; c < COUNT; c++) {
        double sum = 0.0;
        const volatile double *of_blocks = partials + c * blocks * k;
        if (row < rows)
            for (Index b = row; b < blocks; b += rows) sum += of_blocks[b * k + column];
        fold(sum, shared, k);
        if (threadIdx.x < k) out[c][column] = shared[column];
        __syncthreads();
    }
    if (threadIdx.x == 0) *ticket = 0u;
}
