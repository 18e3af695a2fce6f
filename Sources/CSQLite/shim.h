#pragma once
#include <sqlite3.h>

// A macro with a cast, which Swift does not import.
static inline sqlite3_destructor_type lifeline_sqlite_transient(void) { return SQLITE_TRANSIENT; }

// sqlite3_db_config is variadic, which Swift does not import either.
static inline int lifeline_sqlite_checkpoint_on_close(sqlite3 *database, int enabled) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !enabled, (int *)0);
}
