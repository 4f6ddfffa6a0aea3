// SPDX-License-Identifier: GPL-3.0-or-later
// The connection behind an ExperimentStore and what its parts share: errors, numbers. Private to
// the store; the only place where SQLite's exceptions end.
#pragma once
#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <cmath>
#include <limits>

#include "core/base/strings.h"
#include "core/experiments/store.h"

namespace bitloom {

inline Error toError(const std::filesystem::path& file, const SQLite::Exception& exception) {
  ErrorCode code = ErrorCode::Io;
  switch (exception.getErrorCode()) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      code = ErrorCode::Corrupt;
      break;
    case SQLITE_NOMEM:
      code = ErrorCode::OutOfMemory;
      break;
    case SQLITE_CONSTRAINT:
      code = ErrorCode::InvalidArgument;
      break;
    default:
      break;
  }
  return makeError(code, file.string(), " (the store of experiments): ", exception.what(), ".");
}

// Calls `body`, which talks to SQLite, and turns what it throws into an Error.
template <typename Body>
auto guarded(const std::filesystem::path& file, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const SQLite::Exception& exception) {
    return toError(file, exception);
  }
}

// SQLite has no NaN: it is kept as NULL.
inline void bindReal(SQLite::Statement& statement, int index, double value) {
  if (std::isnan(value)) {
    statement.bind(index);
  } else {
    statement.bind(index, value);
  }
}

inline double realOf(const SQLite::Column& column) {
  return column.isNull() ? std::numeric_limits<double>::quiet_NaN() : column.getDouble();
}

// Sizes above 2^63 keep their bits.
inline int64_t toStored(uint64_t value) { return int64_t(value); }
inline uint64_t fromStored(const SQLite::Column& column) { return uint64_t(column.getInt64()); }

struct ExperimentStore::State {
  State(std::filesystem::path file, SQLite::Database opened)
      : path(std::move(file)), database(std::move(opened)) {}

  static Result<std::unique_ptr<State>> connect(const std::filesystem::path& file);
  Result<void> prepare();
  void useWriteAheadLog();
  void markInterrupted();

  int64_t insert(const Run& run);
  void write(const Run& run);  // all but id, kind and created
  void keepRecipe(const std::string& json);
  void bindFields(SQLite::Statement& statement, const Run& run, int first) const;
  std::optional<int64_t> findScan(const ScanKey& key);
  Result<void> setDeleted(int64_t id, bool deleted);
  Error none(std::string_view what, int64_t id) const {
    return makeError(ErrorCode::NotFound, path.string(), " holds no ", what, " ", id, ".");
  }

  std::filesystem::path path;
  SQLite::Database database;
};

// An error when the state is none of those that store.h lists.
Result<void> checkState(const Run& run);

}  // namespace bitloom
