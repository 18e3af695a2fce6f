#pragma once
// Without the libev 3 compatibility macros a loop is an opaque pointer and names stay clean.
#define EV_COMPAT3 0
#include <ev.h>
