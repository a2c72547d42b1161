// Products with a few long rows (count, n) of type D and vectors (n, k) of type V. The small results are double precision, on the device:
// PARTS numbers (the real and the imaginary one, if there is one) of k columns each, row after row.
enum { PARTS = sizeof(W) / sizeof(double), GROUP = 4 / PARTS };

__device__ double part(double x, int) { return x; }
__device__ double part(Pair64 x, int which) { return which ? x.im : x.re; }
__device__ void whole(double &x, const double *parts, Index) { x = parts[0]; }
__device__ void whole(Pair64 &x, const double *parts, Index k) { x = Pair64{parts[0], parts[k]}; }

// alpha = rows^H r for GROUP rows from `first` on; where there are fewer, the last one takes the others' places.
extern "C" __global__ void along_rows(
    Index n, Index k, Index count, Index first, const D *__restrict__ rows, const V *__restrict__ r, double *alpha, double *partials,
    unsigned int *ticket) {
    const Share s = share(k);
    double mine[4] = {0.0, 0.0, 0.0, 0.0}, *out[4];
    for (int c = 0; c < 4; c++) out[c] = alpha + (first * PARTS + c) * k;
    EACH_ROW(i, n, s) {
        const W entry = wide(r[i * k + s.column]);
        for (int g = 0; g < GROUP; g++) {
            const Index row = first + g < count ? first + g : count - 1;
            const W product = conjugate(wide(rows[row * n + i])) * entry;
            for (int c = 0; c < PARTS; c++) mine[g * PARTS + c] += part(product, c);
        }
    }
    total(mine, out, k, partials, ticket);
}

// y = x + rows^T (a alpha + b beta); y may be x
extern "C" __global__ void add_rows(
    Index n, Index k, Index count, const D *__restrict__ rows, double a, const double *__restrict__ alpha, double b,
    const double *__restrict__ beta, const V *x, V *y) {
    const Share s = share(k);
    EACH_ROW(i, n, s) {
        W sum = wide(x[i * k + s.column]), one, other;
        for (Index row = 0; row < count; row++) {
            whole(one, alpha + row * PARTS * k + s.column, k);
            whole(other, beta + row * PARTS * k + s.column, k);
            sum = sum + wide(rows[row * n + i]) * (a * one + b * other);
        }
        store(y + i * k + s.column, sum);
    }
}
