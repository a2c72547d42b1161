// Updates of vectors (n, k) with scalars that stay on the device, (k,) each; D: the type of a diagonal d (n,).

// alpha = rz / pq, or 0 in a column that rests: one that is not active, or whose r^H r had come down to its floor. The host looks
// only now and then, and the residual of conjugate gradients may rise again.
__device__ double moved(double rz, double pq, bool active, double rr_old, double floor) {
    return active && !(rr_old <= floor) ? quotient(rz, pq) : 0.0;
}

// Entry e of r, once x has gone by alpha p and r by -alpha q; where alpha is 0, p and q may be anything.
__device__ W stepped(Index e, double alpha, const V *p, const V *q, V *x, V *r) {
    if (alpha != 0.0) {
        store(x + e, wide(x[e]) + alpha * wide(p[e]));
        store(r + e, wide(r[e]) - alpha * wide(q[e]));
    }
    return wide(r[e]);
}

// x = x + alpha p, r = r - alpha q; r^H r
extern "C" __global__ void step(
    Index n, Index k, const double *rz, const double *pq, const bool *active, const double *rr_old, const double *floor,
    const V *__restrict__ p, const V *__restrict__ q, V *__restrict__ x, V *__restrict__ r, double *rr, double *partials, unsigned int *ticket) {
    const Share s = share(k);
    double mine[1] = {0.0}, *out[1] = {rr};
    const double alpha = moved(rz[s.column], pq[s.column], active[s.column], rr_old[s.column], floor[s.column]);
    EACH_ROW(i, n, s) {
        const Index e = i * k + s.column;
        const W entry = stepped(e, alpha, p, q, x, r);
        mine[0] += along(entry, entry);
    }
    total(mine, out, k, partials, ticket);
}

// The same, and r^H d r
extern "C" __global__ void step_diagonal(
    Index n, Index k, const double *rz, const double *pq, const bool *active, const double *rr_old, const double *floor,
    const D *__restrict__ d, const V *__restrict__ p, const V *__restrict__ q, V *__restrict__ x, V *__restrict__ r, double *rr, double *rdr, double *partials,
    unsigned int *ticket) {
    const Share s = share(k);
    double mine[2] = {0.0, 0.0}, *out[2] = {rr, rdr};
    const double alpha = moved(rz[s.column], pq[s.column], active[s.column], rr_old[s.column], floor[s.column]);
    EACH_ROW(i, n, s) {
        const Index e = i * k + s.column;
        const W entry = stepped(e, alpha, p, q, x, r);
        mine[0] += along(entry, entry);
        mine[1] += along(entry, wide(d[i]) * entry);
    }
    total(mine, out, k, partials, ticket);
}

// p = z + beta p with beta = rz / rz_old
extern "C" __global__ void combine(
    Index n, Index k, const double *rz, const double *rz_old, const V *__restrict__ z, V *__restrict__ p) {
    const Share s = share(k);
    const double beta = quotient(rz[s.column], rz_old[s.column]);
    EACH_ROW(i, n, s) {
        const Index e = i * k + s.column;
        store(p + e, wide(z[e]) + beta * wide(p[e]));
    }
}

// p = d r + beta p
extern "C" __global__ void combine_diagonal(
    Index n, Index k, const double *rz, const double *rz_old, const D *__restrict__ d, const V *__restrict__ r, V *__restrict__ p) {
    const Share s = share(k);
    const double beta = quotient(rz[s.column], rz_old[s.column]);
    EACH_ROW(i, n, s) {
        const Index e = i * k + s.column;
        store(p + e, wide(d[i]) * wide(r[e]) + beta * wide(p[e]));
    }
}

// rz0 = rz, rr0 = rr (k,): what the next launch of a graph begins with
extern "C" __global__ void carry(Index n, Index k, const double *rz, const double *rr, double *rz0, double *rr0) {
    const Share s = share(k);
    EACH_ROW(i, n, s) rz0[s.column] = rz[s.column], rr0[s.column] = rr[s.column];
}

// z = d r
extern "C" __global__ void scale(Index n, Index k, const D *__restrict__ d, const V *__restrict__ r, V *__restrict__ z) {
    const Share s = share(k);
    EACH_ROW(i, n, s) store(z + i * k + s.column, wide(d[i]) * wide(r[i * k + s.column]));
}

// Re(x^H y) of every column
extern "C" __global__ void dot(
    Index n, Index k, const V *__restrict__ x, const V *__restrict__ y, double *xy, double *partials, unsigned int *ticket) {
    const Share s = share(k);
    double mine[1] = {0.0}, *out[1] = {xy};
    EACH_ROW(i, n, s) mine[0] += along(wide(x[i * k + s.column]), wide(y[i * k + s.column]));
    total(mine, out, k, partials, ticket);
}
