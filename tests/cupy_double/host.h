// Device code as host C++: every block's threads are fibres that take turns at barriers, blocks run one after the other.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#define __global__
#define __device__ inline
#define __shared__ static
#define __forceinline__
#define __restrict__
#define __launch_bounds__(...)

struct Dimensions {
    unsigned x, y, z;
};
static Dimensions threadIdx, blockIdx, blockDim, gridDim;

namespace fibres {
// A fibre lasts: it runs its thread of one block after another. Once it has begun, taking turns is a jump, and no system call.
struct Fibre {
    ucontext_t context;
    jmp_buf place;
    bool begun, done;
    unsigned long long waits;  // barriers reached
    std::vector<char> stack;
};
static std::vector<Fibre *> all;
static jmp_buf scheduler;
static unsigned current;
static void (*body)();

static void yield() {
    if (!_setjmp(all[current]->place)) _longjmp(scheduler, 1);
}

static void enter() {
    for (;;) {
        body();
        all[current]->done = true;
        yield();
    }
}

static void take_turn(Fibre &fibre) {
    if (_setjmp(scheduler)) return;
    if (fibre.begun) _longjmp(fibre.place, 1);
    fibre.begun = true;
    setcontext(&fibre.context);
}

static Fibre *made() {
    Fibre *fibre = new Fibre();
    fibre->stack.resize(64 * 1024);
    getcontext(&fibre->context);
    fibre->context.uc_stack.ss_sp = fibre->stack.data();
    fibre->context.uc_stack.ss_size = fibre->stack.size();
    fibre->context.uc_link = nullptr;
    makecontext(&fibre->context, enter, 0);
    return fibre;
}

static void run_block(unsigned threads) {
    while (all.size() < threads) all.push_back(made());
    for (unsigned t = 0; t < threads; t++) all[t]->done = false, all[t]->waits = 0;
    for (unsigned live = threads; live;) {
        for (unsigned t = 0; t < threads; t++) {
            if (all[t]->done) continue;
            current = t;
            threadIdx = {t, 0, 0};
            take_turn(*all[t]);
            live -= all[t]->done;
        }
        // A barrier that some threads of a block never reach hangs a device: here it ends the process.
        for (unsigned t = 1; t < threads; t++)
            if (all[t]->done != all[0]->done || all[t]->waits != all[0]->waits) {
                std::fprintf(stderr, "threads 0 and %u of a block part ways at a barrier\n", t);
                std::abort();
            }
    }
}
}  // namespace fibres

static void __syncthreads() {
    fibres::all[fibres::current]->waits++;
    fibres::yield();
}

template <class T> static T __shfl_down_sync(unsigned, T value, unsigned distance, unsigned width = 32) {
    static T exchanged[1024];
    unsigned me = threadIdx.x, lane = me % width;
    exchanged[me] = value;
    __syncthreads();
    T other = lane + distance < width && me + distance < blockDim.x ? exchanged[me + distance] : value;
    __syncthreads();
    return other;
}

static void __threadfence() {}
template <class T> static T atomicAdd(T *place, T value) {
    T old = *place;
    *place += value;
    return old;
}
static inline double __longlong_as_double(long long bits) {
    double x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

namespace launching {
static void **arguments;

// One letter a parameter, as NumPy has them for the types of arrays; * after that of a pointer.
// What is no type of the language is a pair of reals.
template <class T> struct Letter { static const char *text() { return sizeof(T) == 8 ? "F" : "D"; } };
#define LETTER(type, letter) \
    template <> struct Letter<type> { static const char *text() { return letter; } };
LETTER(bool, "?") LETTER(unsigned char, "B") LETTER(unsigned short, "H") LETTER(int, "i") LETTER(unsigned int, "I")
LETTER(long long, "q") LETTER(unsigned long long, "Q") LETTER(float, "f") LETTER(double, "d")
#undef LETTER
template <class T> struct Letter<const T> : Letter<T> {};
template <class T> struct Letter<T *> {
    static const char *text() {
        static char both[4];
        std::snprintf(both, sizeof both, "%s*", Letter<T>::text());
        return both;
    }
};

template <class... P> void describe(void (*)(P...), char *text) {
    text[0] = 0;
    int unused[] = {0, (std::strcat(text, Letter<P>::text()), std::strcat(text, " "), 0)...};
    (void)unused;
}

template <class... P, std::size_t... K> void apply(void (*kernel)(P...), std::index_sequence<K...>) {
    kernel(*static_cast<std::remove_const_t<P> *>(arguments[K])...);
}

template <class... P> void call(void (*kernel)(P...)) { apply(kernel, std::index_sequence_for<P...>{}); }

static void launch(void (*body)(), unsigned blocks, unsigned threads, void **values) {
    arguments = values, fibres::body = body;
    blockDim = {threads, 1, 1}, gridDim = {blocks, 1, 1};
    for (unsigned b = 0; b < blocks; b++) {
        blockIdx = {b, 0, 0};
        fibres::run_block(threads);
    }
}
}  // namespace launching

#define LAUNCHER(name)                                                                                 \
    extern "C" void describe_##name(char *text) { launching::describe(name, text); }                  \
    static void body_##name() { launching::call(name); }                                               \
    extern "C" void launch_##name(unsigned blocks, unsigned threads, void **values) {                  \
        launching::launch(body_##name, blocks, threads, values);                                       \
    }
