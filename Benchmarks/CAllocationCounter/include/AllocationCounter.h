#pragma once
#include <stdbool.h>
#include <stdint.h>

// Whether allocations are counted at all: not in a build with a sanitizer, which has an allocator of its own.
bool lifeline_allocations_are_counted(void);

// Blocks asked for since the start: by the calling thread, and by all threads together.
uint64_t lifeline_allocations_of_thread(void);
uint64_t lifeline_allocations_of_process(void);
