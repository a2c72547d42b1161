// What a hierarchy in single precision needs beside its levels: the way in and out for vectors of type V, and its smallest level.

__device__ double magnitude(double x) { return x < 0.0 ? -x : x; }

// The power of two that brings a sum of magnitudes near one: single precision then holds what belongs to it, however small.
__device__ double towards_one(double size) {
    int exponent = 0;
    if (!(size > 0.0)) return 1.0;
    for (int step = 512; step > 0; step /= 2) {
        const double power = __longlong_as_double((1023ll + step) << 52);
        if (size >= power && exponent + step <= 1000) size /= power, exponent += step;
        if (size <= 1.0 / power && exponent - step >= -1000) size *= power, exponent -= step;
    }
    return __longlong_as_double((1023ll - exponent) << 52);
}

// The sum of the magnitudes of every column
extern "C" __global__ void sizes(Index n, Index k, const V *__restrict__ r, double *size, double *partials, unsigned int *ticket) {
    const Share s = share(k);
    double mine[1] = {0.0}, *out[1] = {size};
    EACH_ROW(i, n, s) mine[0] += magnitude(r[i * k + s.column]);
    total(mine, out, k, partials, ticket);
}

// f = r, brought near one
extern "C" __global__ void load(Index n, Index k, const double *__restrict__ size, const V *__restrict__ r, float *__restrict__ f) {
    const Share s = share(k);
    const double factor = towards_one(size[s.column]);
    EACH_ROW(i, n, s) store(f + i * k + s.column, factor * r[i * k + s.column]);
}

// The same for rows in another order: row i of the level is row order[i] of the caller
extern "C" __global__ void load_ordered(
    Index n, Index k, const double *__restrict__ size, const unsigned int *__restrict__ order, const V *__restrict__ r, float *__restrict__ f) {
    const Share s = share(k);
    const double factor = towards_one(size[s.column]);
    EACH_ROW(i, n, s) store(f + i * k + s.column, factor * r[order[i] * k + s.column]);
}

// z = scale u, brought back
extern "C" __global__ void unload(
    Index n, Index k, const double *__restrict__ size, double scale, const float *__restrict__ u, V *__restrict__ z) {
    const Share s = share(k);
    const double factor = scale / towards_one(size[s.column]);
    EACH_ROW(i, n, s) store(z + i * k + s.column, factor * u[i * k + s.column]);
}

extern "C" __global__ void unload_ordered(
    Index n, Index k, const double *__restrict__ size, double scale, const unsigned int *__restrict__ order, const float *__restrict__ u,
    V *__restrict__ z) {
    const Share s = share(k);
    const double factor = scale / towards_one(size[s.column]);
    EACH_ROW(i, n, s) store(z + order[i] * k + s.column, factor * u[i * k + s.column]);
}

// The same between a caller's rows of nx cells and the fields of kernels/grid.py, one a column, `stride` numbers apart
extern "C" __global__ void load_field(
    Index n, Index k, const double *__restrict__ size, Index nx, Index stride, const V *__restrict__ r, float *__restrict__ f) {
    const Share s = share(k);
    const double factor = towards_one(size[s.column]);
    EACH_ROW(i, n, s) {
        const unsigned int line = static_cast<unsigned int>(i) / static_cast<unsigned int>(nx), x = i - line * nx;
        store(f + s.column * stride + (2 * line + x % 2) * ((nx + 1) / 2 + 2) + 1 + x / 2, factor * r[i * k + s.column]);
    }
}

extern "C" __global__ void unload_field(
    Index n, Index k, const double *__restrict__ size, double scale, Index nx, Index stride, const float *__restrict__ u, V *__restrict__ z) {
    const Share s = share(k);
    const double factor = scale / towards_one(size[s.column]);
    EACH_ROW(i, n, s) {
        const unsigned int line = static_cast<unsigned int>(i) / static_cast<unsigned int>(nx), x = i - line * nx;
        store(z + i * k + s.column, factor * u[s.column * stride + (2 * line + x % 2) * ((nx + 1) / 2 + 2) + 1 + x / 2]);
    }
}

// u = matrix f with a dense matrix (n, n) by rows: a warp for every row and column
extern "C" __global__ void dense_product(Index n, Index k, const float *__restrict__ matrix, const float *__restrict__ f, float *__restrict__ u) {
    const Index lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (Index low = blockIdx.x * warps; low < n * k; low += gridDim.x * warps) {
        const Index entry = low + threadIdx.x / 32, row = entry / k, column = entry % k;
        double sum = 0.0;
        if (entry < n * k)
            for (Index j = lane; j < n; j += 32) sum += static_cast<double>(matrix[row * n + j]) * f[j * k + column];
        for (unsigned int distance = 16; distance > 0; distance /= 2) sum += __shfl_down_sync(0xffffffffu, sum, distance);
        if (lane == 0 && entry < n * k) u[entry] = static_cast<float>(sum);
    }
}

// u = u + v
extern "C" __global__ void add(Index n, Index k, const float *__restrict__ v, float *__restrict__ u) {
    const Share s = share(k);
    EACH_ROW(i, n, s) u[i * k + s.column] += v[i * k + s.column];
}

// v = u
extern "C" __global__ void keep(Index n, Index k, const float *__restrict__ u, float *__restrict__ v) {
    const Share s = share(k);
    EACH_ROW(i, n, s) v[i * k + s.column] = u[i * k + s.column];
}
