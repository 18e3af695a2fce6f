#include "AllocationCounter.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define LIFELINE_SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(LIFELINE_SANITIZED)

// A counter for each thread, so that counting adds no traffic between cores to what is measured. Threads that come after
// the table is full share the last counter.
enum { tableSize = 1024 };
typedef struct {
  _Alignas(64) _Atomic uint64_t count;
} Counter;
static Counter counters[tableSize];
static atomic_int threads;
static __thread Counter *mine __attribute__((tls_model("initial-exec")));

static Counter *counter(void) {
  if (mine == NULL) {
    int number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
    mine = &counters[number < tableSize ? number : tableSize - 1];
  }
  return mine;
}

static void count(void) { atomic_fetch_add_explicit(&counter()->count, 1, memory_order_relaxed); }

bool lifeline_allocations_are_counted(void) { return true; }

uint64_t lifeline_allocations_of_thread(void) {
  return atomic_load_explicit(&counter()->count, memory_order_relaxed);
}

uint64_t lifeline_allocations_of_process(void) {
  uint64_t sum = 0;
  for (int index = 0; index < tableSize; index++) {
    sum += atomic_load_explicit(&counters[index].count, memory_order_relaxed);
  }
  return sum;
}

// The program's own definitions win over the C library's, which are still reached by these names.
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
  count();
  return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
  count();
  void *result = __libc_memalign(alignment, size);
  if (result == NULL) return ENOMEM;
  *block = result;
  return 0;
}

#else

bool lifeline_allocations_are_counted(void) { return false; }
uint64_t lifeline_allocations_of_thread(void) { return 0; }
uint64_t lifeline_allocations_of_process(void) { return 0; }

#endif
