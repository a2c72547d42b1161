// Multigrid on a tensor grid, in single precision: fields and algorithm are those of kernels/grid.py. Cell (k, j, i) of a field stands at
// ((k ny + j) 2 + i % 2) (h + 2) + 1 + i // 2 with h = (nx + 1) // 2; a thread takes cell m = i // 2 of one colour, so neighbours in a
// warp are neighbours in memory. The copies around the torus are not used here. Fields of several columns follow each other.
typedef unsigned int Small;  // cells are counted in 32 bits: 64-bit divisions would cost more than the memory

struct Level {
    Small nz, ny, h;
    const float *tx, *ty, *tz, *inverse;
};
#define LEVEL Index nz, Index ny, Index nx, const float *tx, const float *ty, const float *tz, const float *inverse
#define L Level{static_cast<Small>(nz), static_cast<Small>(ny), static_cast<Small>((nx + 1) / 2), tx, ty, tz, inverse}

__device__ Small place(const Level &l, Small row, Small parity, Small m) { return (2 * row + parity) * (l.h + 2) + 1 + m; }
__device__ Index numbers(const Level &l) { return static_cast<Index>(l.nz) * l.ny * 2 * (l.h + 2); }

// Cell m of one parity in row (k, j)
struct Cell {
    Small k, j, m;
};
__device__ Cell cell(const Level &l, Small t) {
    const Small row = t / l.h;
    return Cell{row / l.ny, row % l.ny, t - row * l.h};
}

struct Stored {  // an iterate
    const float *u;
    __device__ float operator()(Small e) const { return u[e]; }
};
struct FromZero {  // the iterate after a sweep from zero, which nobody has written
    const float *inverse, *f;
    __device__ float operator()(Small e) const { return inverse[e] * f[e]; }
};

// The sum over the faces of a cell of parity q of coupling times neighbour
template <class U> __device__ float gather(const Level &l, const U &u, Cell c, Small q) {
    const Small row = c.k * l.ny + c.j, p = 1 - q, here = place(l, row, q, c.m);
    const Small left = place(l, row, p, q ? c.m : c.m ? c.m - 1 : l.h - 1), right = place(l, row, p, !q ? c.m : c.m + 1 < l.h ? c.m + 1 : 0);
    float sum = l.tx[left] * u(left) + l.tx[here] * u(right);
    if (l.ny > 1) {
        const Small north = place(l, c.j + 1 < l.ny ? row + 1 : row + 1 - l.ny, q, c.m), south = place(l, c.j ? row - 1 : row + l.ny - 1, q, c.m);
        sum += l.ty[here] * u(north) + l.ty[south] * u(south);
    }
    if (l.nz > 1) {
        const Small above = place(l, c.k + 1 < l.nz ? row + l.ny : c.j, q, c.m), below = place(l, c.k ? row - l.ny : row + (l.nz - 1) * l.ny, q, c.m);
        sum += l.tz[here] * u(above) + l.tz[below] * u(below);
    }
    return sum;
}

// Black cells after a red and a black sweep from u = 0
__device__ void first_black(const Level &l, Small t, const float *f, float *u) {
    const Cell c = cell(l, t);
    const Small q = (c.j + c.k + 1) % 2, here = place(l, c.k * l.ny + c.j, q, c.m);
    u[here] = l.inverse[here] * (f[here] + gather(l, FromZero{l.inverse, f}, c, q));
}

// The cells of one colour from their neighbours
__device__ void relax(const Level &l, Small t, Small colour, const float *f, float *u) {
    const Cell c = cell(l, t);
    const Small q = (c.j + c.k + colour) % 2, here = place(l, c.k * l.ny + c.j, q, c.m);
    u[here] = l.inverse[here] * (f[here] + gather(l, Stored{u}, c, q));
}

// The cells of the next level: where those of each begin, and to which each goes. One array: z, y, x of either.
struct Step {
    Small nz, ny, nx;                               // of the next level
    const int *starts_z, *starts_y, *starts_x;      // (nz + 1), (ny + 1), (nx + 1)
    const int *home_z, *home_y, *home_x;            // of this level's cells
    __device__ Small place(Small K, Small J, Small I) const { return (2 * (K * ny + J) + I % 2) * ((nx + 1) / 2 + 2) + 1 + I / 2; }
};
#define STEP Index coarse_nz, Index coarse_ny, Index coarse_nx, const int *maps
#define S_ step_of(nz, ny, coarse_nz, coarse_ny, coarse_nx, maps)
__device__ Step step_of(Index nz, Index ny, Index coarse_nz, Index coarse_ny, Index coarse_nx, const int *maps) {
    const int *y = maps + coarse_nz + 1, *x = y + coarse_ny + 1, *home = x + coarse_nx + 1;
    return Step{static_cast<Small>(coarse_nz), static_cast<Small>(coarse_ny), static_cast<Small>(coarse_nx), maps, y, x, home, home + nz, home + nz + ny};
}

// A coarse cell's part of the residual that those two sweeps leave. It is zero in black cells; in red ones, which solved their rows while
// their neighbours were zero, it is what the neighbours contribute now.
__device__ void restrict_red(const Level &l, const Step &s, Small t, const float *u, float *coarse) {
    const Small line = t / s.nx, I = t - line * s.nx, K = line / s.ny, J = line % s.ny;
    float sum = 0.0f;
    for (int k = s.starts_z[K]; k < s.starts_z[K + 1]; k++)
        for (int j = s.starts_y[J]; j < s.starts_y[J + 1]; j++)
            for (int i = s.starts_x[I] + (s.starts_x[I] + j + k) % 2; i < s.starts_x[I + 1]; i += 2)
                sum += gather(l, Stored{u}, Cell{static_cast<Small>(k), static_cast<Small>(j), static_cast<Small>(i / 2)}, i % 2);
    coarse[s.place(K, J, I)] = sum;
}

// Red cells: the first sweep's, and the coarse correction; the black ones are about to be overwritten.
__device__ void correct_red(const Level &l, const Step &s, Small t, Small nx, const float *f, const float *coarse, float *u) {
    const Cell c = cell(l, t);
    const Small q = (c.j + c.k) % 2, i = 2 * c.m + q, here = place(l, c.k * l.ny + c.j, q, c.m);
    if (i < nx) u[here] = l.inverse[here] * f[here] + coarse[s.place(s.home_z[c.k], s.home_y[c.j], s.home_x[i])];
}

// saved = u, f = f - A u in both cells of a pair; beyond the grid (inverse = 0) both stay zero
__device__ void leave(const Level &l, Small t, const float *u, float *f, float *saved) {
    const Cell c = cell(l, t);
    for (Small q = 0; q < 2; q++) {
        const Small here = place(l, c.k * l.ny + c.j, q, c.m);
        const float scale = l.inverse[here];
        f[here] = scale > 0.0f ? f[here] + gather(l, Stored{u}, c, q) - u[here] / scale : 0.0f;
        saved[here] = u[here];
    }
}

// -- a large level: a kernel for every half sweep; n tasks a column, `stride` numbers between the fields of two columns --------------------

#define EACH_TASK(t, column)                                                                                                  \
    for (Small tasks = static_cast<Small>(n), task = blockIdx.x * blockDim.x + threadIdx.x, column = task / tasks,             \
               t = task - column * tasks;                                                                                     \
         task < n * k; task += gridDim.x * blockDim.x, column = task / tasks, t = task - column * tasks)

extern "C" __global__ void grid_first(Index n, Index k, LEVEL, Index stride, const float *f, float *u) {
    EACH_TASK(t, column) first_black(L, t, f + column * stride, u + column * stride);
}

extern "C" __global__ void grid_restrict(Index n, Index k, LEVEL, Index stride, STEP, Index coarse_stride, const float *u, float *coarse) {
    EACH_TASK(t, column) restrict_red(L, S_, t, u + column * stride, coarse + column * coarse_stride);
}

extern "C" __global__ void grid_correct(
    Index n, Index k, LEVEL, Index stride, STEP, Index coarse_stride, const float *f, const float *coarse, float *u) {
    EACH_TASK(t, column) correct_red(L, S_, t, nx, f + column * stride, coarse + column * coarse_stride, u + column * stride);
}

extern "C" __global__ void grid_relax(Index n, Index k, LEVEL, Index stride, Index colour, const float *f, float *u) {
    EACH_TASK(t, column) relax(L, t, colour, f + column * stride, u + column * stride);
}

extern "C" __global__ void grid_leave(Index n, Index k, LEVEL, Index stride, const float *u, float *f, float *saved) {
    EACH_TASK(t, column) leave(L, t, u + column * stride, f + column * stride, saved + column * stride);
}

// u = dense f on the flattened fields of a level: a warp for every row and column
extern "C" __global__ void grid_dense(Index n, Index k, Index stride, const float *dense, const float *f, float *u) {
    const Index lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (Index low = blockIdx.x * warps; low < n * k; low += gridDim.x * warps) {
        const Index entry = low + threadIdx.x / 32, column = entry / n, row = entry - column * n;
        float sum = 0.0f;
        if (entry < n * k)
            for (Index j = lane; j < n; j += 32) sum += dense[row * n + j] * f[column * stride + j];
        for (unsigned int distance = 16; distance > 0; distance /= 2) sum += __shfl_down_sync(0xffffffffu, sum, distance);
        if (lane == 0 && entry < n * k) u[column * stride + row] = sum;
    }
}

// -- the small levels in one block a column ---------------------------------------------------------------------------------------------

// Columns of the table: the grid, where couplings and 1 / diagonal begin, f, u and what a second visit keeps, the maps to the next level,
// and whether to visit twice.
enum { NZ, NY, NX, TX, TY, TZ, INVERSE, F, U, SAVED, MAPS, TWICE, WIDTH };

struct Tail {
    const Index *table;
    const float *coefficients;
    float *vectors;
    const int *maps;
    __device__ Index at(int l, int what) const { return table[l * WIDTH + what]; }
    __device__ float *vector(int l, int what) const { return vectors + at(l, what); }
    __device__ Level level(int l) const {
        const float *c = coefficients;
        const Small h = static_cast<Small>((at(l, NX) + 1) / 2);
        return Level{static_cast<Small>(at(l, NZ)), static_cast<Small>(at(l, NY)), h, c + at(l, TX), c + at(l, TY), c + at(l, TZ), c + at(l, INVERSE)};
    }
    __device__ Step step(int l) const {
        return step_of(at(l, NZ), at(l, NY), at(l + 1, NZ), at(l + 1, NY), at(l + 1, NX), maps + at(l, MAPS));
    }
};
#define EACH_THREAD(t, count) for (Small t = threadIdx.x, end = count; t < end; t += blockDim.x)

__device__ void tail_down(const Tail &w, int l) {
    const Level level = w.level(l);
    const Step step = w.step(l);
    EACH_THREAD(t, level.nz * level.ny * level.h) first_black(level, t, w.vector(l, F), w.vector(l, U));
    __syncthreads();
    EACH_THREAD(t, step.nz * step.ny * step.nx) restrict_red(level, step, t, w.vector(l, U), w.vector(l + 1, F));
    __syncthreads();
}

__device__ void tail_up(const Tail &w, int l) {
    const Level level = w.level(l);
    const Step step = w.step(l);
    const Small half = level.nz * level.ny * level.h, nx = w.at(l, NX);
    EACH_THREAD(t, half) correct_red(level, step, t, nx, w.vector(l, F), w.vector(l + 1, U), w.vector(l, U));
    __syncthreads();
    for (Small colour = 2; colour-- > 0;) {
        EACH_THREAD(t, half) relax(level, t, colour, w.vector(l, F), w.vector(l, U));
        __syncthreads();
    }
}

// u = dense f on the flattened fields of the last level: a warp a row
__device__ void tail_solve(const Tail &w, int l, const float *dense) {
    const Small size = numbers(w.level(l)), lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (Small low = 0; low < size; low += warps) {
        const Small row = low + threadIdx.x / 32;
        float sum = 0.0f;
        if (row < size)
            for (Small j = lane; j < size; j += 32) sum += dense[row * size + j] * w.vector(l, F)[j];
        for (unsigned int distance = 16; distance > 0; distance /= 2) sum += __shfl_down_sync(0xffffffffu, sum, distance);
        if (lane == 0 && row < size) w.vector(l, U)[row] = sum;
    }
    __syncthreads();
}

// u of the first level = its approximate solution for f, in block after block for column after column. All threads of a block take the
// same way, level after level; `second` has a bit for every level whose second visit in a row this is.
extern "C" __global__ void __launch_bounds__(1024) grid_tail(
    Index count, const Index *table, const float *coefficients, Index stride, float *vectors, const int *maps, const float *dense) {
    const Tail w{table, coefficients, vectors + blockIdx.x * stride, maps};
    const int last = static_cast<int>(count) - 1;
    unsigned long long second = 0;
    for (int l = 0;;) {
        for (; l < last; second &= ~(1ull << ++l)) tail_down(w, l);
        tail_solve(w, last, dense);
        for (; (second >> l & 1) || !w.at(l, TWICE); tail_up(w, --l)) {
            if (second >> l & 1) {
                EACH_THREAD(t, numbers(w.level(l))) w.vector(l, U)[t] += w.vector(l, SAVED)[t];
                __syncthreads();
            }
            if (l == 0) return;
        }
        second |= 1ull << l;
        const Level level = w.level(l);
        EACH_THREAD(t, level.nz * level.ny * level.h) leave(level, t, w.vector(l, U), w.vector(l, F), w.vector(l, SAVED));
        __syncthreads();
    }
}
