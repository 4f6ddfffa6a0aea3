// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/experiments/store.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <thread>

#include "core/experiments/owner.h"
#include "core/experiments/schema.h"
#include "core/experiments/store_state.h"
#include "core/io/sha256.h"
#include "core/io/user_folder.h"

namespace bitloom {

using SQLite::Statement;

namespace {

constexpr int kBusyMilliseconds = 10000;
constexpr std::array<std::string_view, 6> kKinds = {"scan",     "plan",   "quantize",
                                                    "evaluate", "export", "chat"};
constexpr const char* kRunColumns =
    "SELECT id, kind, created, model, fingerprint, title, state, ifnull(json, ''), plan_hash, "
    "bytes, bits_per_weight, path, result, notes FROM runs LEFT JOIN recipes ON recipe = hash ";

std::string timeNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

Run readRun(Statement& row) {
  Run run;
  run.id = row.getColumn(0).getInt64();
  const std::string kind = row.getColumn(1).getString();
  const auto at = std::find(kKinds.begin(), kKinds.end(), kind);
  if (at != kKinds.end()) run.kind = RunKind(at - kKinds.begin());
  run.created = row.getColumn(2).getString();
  run.model = row.getColumn(3).getString();
  run.fingerprint = row.getColumn(4).getString();
  run.title = row.getColumn(5).getString();
  run.state = row.getColumn(6).getString();
  run.recipeJson = row.getColumn(7).getString();
  run.planHash = row.getColumn(8).getString();
  run.bytes = fromStored(row.getColumn(9));
  run.bitsPerWeight = realOf(row.getColumn(10));
  run.path = row.getColumn(11).getString();
  run.resultJson = row.getColumn(12).getString();
  run.notes = row.getColumn(13).getString();
  return run;
}

}  // namespace

Result<void> checkState(const Run& run) {
  constexpr std::array<std::string_view, 5> kStates = {"running", "done", "cancelled", "failed",
                                                       "interrupted"};
  if (std::find(kStates.begin(), kStates.end(), run.state) != kStates.end()) return {};
  return makeError(ErrorCode::InvalidArgument, "The run \"", run.title, "\" has the state \"",
                   run.state, "\", which the store does not know.");
}

std::string_view name(RunKind kind) { return kKinds[size_t(kind)]; }

// --- opening ----------------------------------------------------------------------------------

Result<std::unique_ptr<ExperimentStore::State>> ExperimentStore::State::connect(
    const std::filesystem::path& file) {
  return guarded(file, [&]() -> Result<std::unique_ptr<State>> {
    SQLite::Database database(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE,
                              kBusyMilliseconds);
    if (sqlite3_db_readonly(database.getHandle(), "main") == 1) {
      return makeError(ErrorCode::Io, file.string(),
                       " (the store of experiments) may not be written.");
    }
    database.exec("PRAGMA foreign_keys = ON");
    database.exec("PRAGMA synchronous = NORMAL");
    return std::make_unique<State>(file, std::move(database));
  });
}

// Switching to WAL needs the file for a moment alone and does not wait for it by itself.
void ExperimentStore::State::useWriteAheadLog() {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kBusyMilliseconds);
  while (true) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (const SQLite::Exception& exception) {
      const bool isBusy = exception.getErrorCode() == SQLITE_BUSY;
      if (!isBusy || std::chrono::steady_clock::now() > deadline) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

Result<void> ExperimentStore::State::prepare() {
  return guarded(path, [&]() -> Result<void> {
    // Another may be making the file: all three are read from the same state of it.
    SQLite::Transaction reading(database);
    const int version = database.execAndGet("PRAGMA user_version").getInt();
    const int application = database.execAndGet("PRAGMA application_id").getInt();
    const int tables = database.execAndGet("SELECT count(*) FROM sqlite_master").getInt();
    reading.commit();
    if (application != kApplicationId && (version != 0 || application != 0 || tables != 0)) {
      return makeError(ErrorCode::InvalidArgument, path.string(),
                       " is a database of another program, not a store of experiments.");
    }
    if (version > schemaVersion()) {
      return makeError(ErrorCode::Unsupported, path.string(),
                       " was written by a newer Bitloom (its layout has version ", version,
                       ", this one knows ", schemaVersion(), ").");
    }
    const std::string check = database.execAndGet("PRAGMA integrity_check(1)").getString();
    if (check != "ok") {
      return makeError(ErrorCode::Corrupt, path.string(),
                       " (the store of experiments) is damaged: ", check, ".");
    }
    useWriteAheadLog();
    migrate(database);
    markInterrupted();
    return {};
  });
}

void ExperimentStore::State::markInterrupted() {
  std::vector<std::pair<int64_t, std::string>> dead;
  Statement running(database, "SELECT id, owner FROM runs WHERE state = 'running'");
  while (running.executeStep()) {
    const std::string owner = running.getColumn(1).getString();
    if (!isAlive(owner)) dead.emplace_back(running.getColumn(0).getInt64(), owner);
  }
  running.reset();
  for (const auto& [id, owner] : dead) {
    // Unless someone has taken it up meanwhile.
    Statement update(database,
                     "UPDATE runs SET state = 'interrupted', owner = '' "
                     "WHERE id = ? AND owner = ? AND state = 'running'");
    update.bind(1, id);
    update.bind(2, owner);
    update.exec();
  }
}

Result<ExperimentStore> ExperimentStore::open(const std::filesystem::path& file) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(file, error);
  if (error || file.empty()) {
    return makeError(ErrorCode::InvalidArgument, "\"", file.string(), "\" names no file.");
  }
  if (std::filesystem::is_directory(path, error)) {
    return makeError(ErrorCode::Io, path.string(), " is a folder, not a store of experiments.");
  }
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    return makeError(ErrorCode::Io, path.parent_path().string(),
                     " cannot be made for the store of experiments: ", error.message(), ".");
  }
  TRY(auto state, State::connect(path));
  TRY(state->prepare());
  return ExperimentStore(std::move(state));
}

Result<ExperimentStore> ExperimentStore::openAnother() const {
  TRY(auto state, State::connect(path()));
  return ExperimentStore(std::move(state));
}

std::filesystem::path ExperimentStore::defaultPath() {
  return userDataFolder() / "experiments.sqlite";
}

ExperimentStore::ExperimentStore(std::unique_ptr<State> state) : m_state(std::move(state)) {}
ExperimentStore::ExperimentStore(ExperimentStore&&) noexcept = default;
ExperimentStore& ExperimentStore::operator=(ExperimentStore&&) noexcept = default;
ExperimentStore::~ExperimentStore() = default;

const std::filesystem::path& ExperimentStore::path() const { return m_state->path; }

// --- runs -------------------------------------------------------------------------------------

void ExperimentStore::State::keepRecipe(const std::string& json) {
  if (json.empty()) return;
  Statement insert(database, "INSERT OR IGNORE INTO recipes(hash, json) VALUES(?, ?)");
  insert.bind(1, sha256Hex(json));
  insert.bind(2, json);
  insert.exec();
}

void ExperimentStore::State::bindFields(Statement& statement, const Run& run, int first) const {
  statement.bind(first, run.model);
  statement.bind(first + 1, run.fingerprint);
  statement.bind(first + 2, run.title);
  statement.bind(first + 3, run.state);
  if (run.recipeJson.empty()) {
    statement.bind(first + 4);
  } else {
    statement.bind(first + 4, sha256Hex(run.recipeJson));
  }
  statement.bind(first + 5, run.planHash);
  statement.bind(first + 6, toStored(run.bytes));
  bindReal(statement, first + 7, run.bitsPerWeight);
  statement.bind(first + 8, run.path);
  statement.bind(first + 9, run.resultJson);
  statement.bind(first + 10, run.notes);
  statement.bind(first + 11, run.state == "running" ? ownProcess() : std::string());
}

int64_t ExperimentStore::State::insert(const Run& run) {
  keepRecipe(run.recipeJson);
  Statement insert(database,
                   "INSERT INTO runs(kind, created, model, fingerprint, title, state, recipe, "
                   "plan_hash, bytes, bits_per_weight, path, result, notes, owner) "
                   "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  insert.bind(1, std::string(name(run.kind)));
  insert.bind(2, timeNow());
  bindFields(insert, run, 3);
  insert.exec();
  return database.getLastInsertRowid();
}

Result<int64_t> ExperimentStore::add(const Run& run) {
  TRY(checkState(run));
  return guarded(path(), [&]() -> Result<int64_t> {
    SQLite::Transaction transaction(m_state->database, SQLite::TransactionBehavior::IMMEDIATE);
    const int64_t id = m_state->insert(run);
    transaction.commit();
    return id;
  });
}

Result<void> ExperimentStore::update(const Run& run) {
  TRY(checkState(run));
  return guarded(path(), [&]() -> Result<void> {
    SQLite::Transaction transaction(m_state->database, SQLite::TransactionBehavior::IMMEDIATE);
    m_state->keepRecipe(run.recipeJson);
    Statement update(
        m_state->database,
        "UPDATE runs SET model = ?, fingerprint = ?, title = ?, state = ?, recipe = ?, "
        "plan_hash = ?, bytes = ?, bits_per_weight = ?, path = ?, result = ?, "
        "notes = ?, owner = ? WHERE id = ?");
    m_state->bindFields(update, run, 1);
    update.bind(13, run.id);
    if (update.exec() == 0) return m_state->none("run", run.id);
    transaction.commit();
    return {};
  });
}

Result<Run> ExperimentStore::run(int64_t id) const {
  return guarded(path(), [&]() -> Result<Run> {
    Statement select(m_state->database, std::string(kRunColumns) + "WHERE id = ? AND deleted = 0");
    select.bind(1, id);
    if (!select.executeStep()) return m_state->none("run", id);
    return readRun(select);
  });
}

Result<std::vector<Run>> ExperimentStore::runs(const std::string& fingerprint) const {
  return guarded(path(), [&]() -> Result<std::vector<Run>> {
    Statement select(m_state->database,
                     std::string(kRunColumns) +
                         "WHERE deleted = 0 AND (?1 = '' OR fingerprint = ?1) ORDER BY id DESC");
    select.bind(1, fingerprint);
    std::vector<Run> result;
    while (select.executeStep()) result.push_back(readRun(select));
    return result;
  });
}

Result<void> ExperimentStore::State::setDeleted(int64_t id, bool deleted) {
  return guarded(path, [&]() -> Result<void> {
    Statement update(database, "UPDATE runs SET deleted = ? WHERE id = ?");
    update.bind(1, deleted ? 1 : 0);
    update.bind(2, id);
    if (update.exec() == 0) return none("run", id);
    return {};
  });
}

Result<void> ExperimentStore::remove(int64_t id) { return m_state->setDeleted(id, true); }
Result<void> ExperimentStore::restore(int64_t id) { return m_state->setDeleted(id, false); }

}  // namespace bitloom
