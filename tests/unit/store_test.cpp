// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/experiments/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <thread>

#include "core/base/strings.h"
#include "tests/support/paths.h"

namespace bitloom {
namespace {

using test::TempDir;
using test::writeFile;

const ScanKey kKey = {"f00d", "kld", "nearest", "abc"};

Run runNamed(const std::string& title, RunKind kind = RunKind::Plan,
             const std::string& state = "done") {
  Run run;
  run.kind = kind;
  run.title = title;
  run.state = state;
  run.fingerprint = "f00d";
  return run;
}

Cell cellOf(int index) {
  return {strCat("blk.", index, ".ffn_down.weight"), "q4_0", "kld", index * 0.1, 0.01, 100};
}

ExperimentStore openStore(const std::filesystem::path& path) {
  auto store = ExperimentStore::open(path);
  if (!store) throw std::runtime_error(store.error().message);
  return std::move(store).value();
}

// Without the product's own code.
void execute(const std::filesystem::path& path, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
      << (error != nullptr ? error : "");
  sqlite3_close(database);
}

void expectRefused(const std::filesystem::path& path, ErrorCode code, const std::string& words) {
  const auto store = ExperimentStore::open(path);
  ASSERT_FALSE(store);
  const std::string& message = store.error().message;
  EXPECT_EQ(int(store.error().code), int(code)) << message;
  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  EXPECT_NE(message.find(words), std::string::npos) << message;
  EXPECT_EQ(message.back(), '.');
}

TEST(Store, ARunComesBackWithEveryField) {
  const TempDir folder;
  const auto path = folder / "deep/er/store.sqlite";
  bitloom::Run run = runNamed("mix 96 MiB", RunKind::Quantize);
  run.model = "Zoë's \"model\"; DROP TABLE runs";
  run.recipeJson = "{\"rules\":[]}";
  run.planHash = "beef";
  run.bytes = 0xffffffff12345678u;
  run.bitsPerWeight = 4.1 + 1e-15;
  run.path = "/tmp/a b.gguf";
  run.resultJson = "{\"perplexity\":{}}";
  run.notes = "line\nline";
  int64_t id = 0;
  {
    ExperimentStore store = openStore(path);
    const auto added = store.add(run);
    ASSERT_TRUE(added);
    id = *added;
  }
  const ExperimentStore store = openStore(path);
  const auto found = store.run(id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, id);
  EXPECT_EQ(found->kind, run.kind);
  EXPECT_EQ(found->model, run.model);
  EXPECT_EQ(found->fingerprint, run.fingerprint);
  EXPECT_EQ(found->title, run.title);
  EXPECT_EQ(found->state, "done");
  EXPECT_EQ(found->recipeJson, run.recipeJson);
  EXPECT_EQ(found->planHash, run.planHash);
  EXPECT_EQ(found->bytes, run.bytes);
  EXPECT_EQ(found->bitsPerWeight, run.bitsPerWeight);
  EXPECT_EQ(found->path, run.path);
  EXPECT_EQ(found->resultJson, run.resultJson);
  EXPECT_EQ(found->notes, run.notes);
  ASSERT_EQ(found->created.size(), 20u) << found->created;
  EXPECT_EQ(found->created[10], 'T');
  EXPECT_EQ(found->created[19], 'Z');
}

TEST(Store, RunsAreListedNewestFirstAndByModel) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  ASSERT_TRUE(store.add(runNamed("first")));
  bitloom::Run other = runNamed("second");
  other.fingerprint = "cafe";
  ASSERT_TRUE(store.add(other));
  ASSERT_TRUE(store.add(runNamed("third")));
  const auto all = *store.runs();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].title, "third");
  EXPECT_EQ(all[2].title, "first");
  const auto one = *store.runs("cafe");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].title, "second");
}

TEST(Store, AnUpdateChangesAllButIdKindAndCreation) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  const int64_t id = *store.add(runNamed("before", RunKind::Evaluate, "running"));
  bitloom::Run run = *store.run(id);
  const std::string created = run.created;
  run.kind = RunKind::Chat;
  run.created = "yesterday";
  run.title = "after";
  run.state = "failed";
  run.recipeJson = "{}";
  run.bitsPerWeight = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(store.update(run));
  run = *store.run(id);
  EXPECT_EQ(run.kind, RunKind::Evaluate);
  EXPECT_EQ(run.created, created);
  EXPECT_EQ(run.title, "after");
  EXPECT_EQ(run.state, "failed");
  EXPECT_EQ(run.recipeJson, "{}");
  EXPECT_TRUE(std::isnan(run.bitsPerWeight));
}

TEST(Store, RemovalHidesARunAndRestoreBringsItBack) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  const int64_t id = *store.beginScan(kKey, runNamed("scan", RunKind::Scan));
  ASSERT_TRUE(store.addCell(id, cellOf(1)));
  ASSERT_TRUE(store.remove(id));
  EXPECT_EQ(int(store.run(id).error().code), int(ErrorCode::NotFound));
  EXPECT_TRUE(store.runs()->empty());
  EXPECT_FALSE(store.findScan(kKey)->has_value());
  ASSERT_TRUE(store.restore(id));
  EXPECT_EQ(store.run(id)->title, "scan");
  EXPECT_EQ(**store.findScan(kKey), id);
  EXPECT_EQ(store.cells(id)->cells.size(), 1u);
}

TEST(Store, WhatIsNotThereIsNotFoundByItsNumber) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  bitloom::Run run = runNamed("x");
  run.id = 77;
  for (const Error& error :
       {store.run(77).error(), store.remove(77).error(), store.restore(77).error(),
        store.update(run).error(), store.cells(77).error(), store.addCell(77, cellOf(1)).error()}) {
    EXPECT_EQ(int(error.code), int(ErrorCode::NotFound));
    EXPECT_NE(error.message.find("77"), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("s.sqlite"), std::string::npos) << error.message;
  }
}

TEST(Store, AStateThatIsNoneIsRefused) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  EXPECT_EQ(int(store.add(runNamed("x", RunKind::Plan, "complete")).error().code),
            int(ErrorCode::InvalidArgument));
}

TEST(Store, CellsAreExactReplacedAndOrdered) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  const int64_t scan = *store.beginScan(kKey, runNamed("scan", RunKind::Scan, "running"));
  const std::vector<double> values = {
      0.1, 1e-300, -1e300, 5e-324, 3, 1.0 / 3, std::numeric_limits<double>::infinity()};
  std::vector<Cell> cells;
  for (size_t i = 0; i < values.size(); ++i) {
    cells.push_back(
        {strCat("t", i), "q4_0", "kld", values[i], values[i] / 7, uint64_t(1) << (9 * i)});
  }
  cells.push_back({"t9", "q4_0", "kld", 1, std::numeric_limits<double>::quiet_NaN(), 5});
  ASSERT_TRUE(store.addCells(scan, cells));
  const Sensitivity read = *openStore(folder / "s.sqlite").cells(scan);
  EXPECT_EQ(read.metric, "kld");
  EXPECT_EQ(read.fingerprint, "f00d");
  EXPECT_EQ(read.textHash, "abc");
  ASSERT_EQ(read.cells.size(), cells.size());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(read.cells[i].tensor, cells[i].tensor);
    EXPECT_EQ(std::bit_cast<uint64_t>(read.cells[i].value), std::bit_cast<uint64_t>(values[i]));
    EXPECT_EQ(read.cells[i].error, cells[i].error);
    EXPECT_EQ(read.cells[i].bytes, cells[i].bytes);
  }
  EXPECT_TRUE(std::isnan(read.cells.back().error));
  cells[0].value = 42;
  ASSERT_TRUE(store.addCell(scan, cells[0]));
  EXPECT_EQ(store.cells(scan)->cells.size(), cells.size());
  EXPECT_EQ(store.cells(scan)->cells[0].value, 42);
}

TEST(Store, AScanIsFoundByEveryPartOfItsKey) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  EXPECT_FALSE(store.findScan(kKey)->has_value());
  const int64_t id = *store.beginScan(kKey, runNamed("scan", RunKind::Scan, "running"));
  EXPECT_EQ(**store.findScan(kKey), id);
  for (const ScanKey& other :
       {ScanKey{"x", "kld", "nearest", "abc"}, ScanKey{"f00d", "x", "nearest", "abc"},
        ScanKey{"f00d", "kld", "x", "abc"}, ScanKey{"f00d", "kld", "nearest", "x"}}) {
    EXPECT_FALSE(store.findScan(other)->has_value());
  }
  bitloom::Run run = *store.run(id);
  run.state = "cancelled";
  ASSERT_TRUE(store.update(run));
  EXPECT_EQ(*store.beginScan(kKey, runNamed("again", RunKind::Scan, "running")), id);
  EXPECT_EQ(store.run(id)->state, "running");
  EXPECT_EQ(store.run(id)->title, "scan");
  EXPECT_EQ(store.runs()->size(), 1u);
}

TEST(Store, VotesBelongToChats) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  const int64_t chat = *store.add(runNamed("chat", RunKind::Chat));
  const int64_t plan = *store.add(runNamed("plan"));
  Vote vote{.run = chat,
            .prompt = "Why?",
            .left = "F16",
            .right = "TQ3_1S",
            .leftText = "a",
            .rightText = "b",
            .winner = "right",
            .blind = true};
  ASSERT_TRUE(store.addVote(vote));
  const auto votes = *store.votes();
  ASSERT_EQ(votes.size(), 1u);
  EXPECT_EQ(votes[0].run, chat);
  EXPECT_EQ(votes[0].prompt, "Why?");
  EXPECT_EQ(votes[0].left, "F16");
  EXPECT_EQ(votes[0].right, "TQ3_1S");
  EXPECT_EQ(votes[0].leftText, "a");
  EXPECT_EQ(votes[0].rightText, "b");
  EXPECT_EQ(votes[0].winner, "right");
  EXPECT_TRUE(votes[0].blind);
  vote.winner = "both";
  EXPECT_EQ(int(store.addVote(vote).error().code), int(ErrorCode::InvalidArgument));
  vote.winner = "tie";
  vote.run = plan;
  EXPECT_EQ(int(store.addVote(vote).error().code), int(ErrorCode::InvalidArgument));
  vote.run = 99;
  EXPECT_EQ(int(store.addVote(vote).error().code), int(ErrorCode::NotFound));
  ASSERT_TRUE(store.remove(chat));
  EXPECT_TRUE(store.votes()->empty());
}

TEST(Store, TwoConnectionsInTwoThreadsWriteAtOnceAndLoseNothing) {
  const TempDir folder;
  ExperimentStore first = openStore(folder / "s.sqlite");
  ExperimentStore second = std::move(*first.openAnother());
  const int64_t scan = *first.beginScan(kKey, runNamed("scan", RunKind::Scan, "running"));
  constexpr int kEach = 200;
  const auto write = [&](ExperimentStore& store, int from, int& failures) {
    for (int i = 0; i < kEach; ++i) {
      if (!store.addCell(scan, cellOf(from + i))) ++failures;
      if (!store.add(runNamed(strCat("run ", from + i)))) ++failures;
    }
  };
  int failedFirst = 0, failedSecond = 0;
  std::thread other([&] { write(second, kEach, failedSecond); });
  write(first, 0, failedFirst);
  other.join();
  EXPECT_EQ(failedFirst + failedSecond, 0);
  EXPECT_EQ(first.cells(scan)->cells.size(), size_t(2 * kEach));
  EXPECT_EQ(second.runs()->size(), size_t(2 * kEach + 1));
}

TEST(Store, SamplesAndMeasuredPlansComeBackWithTheCells) {
  const TempDir folder;
  ExperimentStore store = openStore(folder / "s.sqlite");
  const int64_t scan = *store.beginScan(kKey, runNamed("scan", RunKind::Scan, "running"));
  Cell cell = cellOf(3);
  cell.samples = {0.25f, -1e-20f, 3.0f};
  ASSERT_TRUE(store.addCell(scan, cell));
  ASSERT_TRUE(store.addCell(scan, cellOf(4)));
  ASSERT_TRUE(store.addTrial(scan, {0.5, 0.625}));
  ASSERT_TRUE(store.addTrial(scan, {0.25, 0.3, 17.5}));
  const Sensitivity cells = *store.cells(scan);
  ASSERT_EQ(cells.cells.size(), 2u);
  EXPECT_EQ(cells.cells[0].samples, cell.samples);
  EXPECT_TRUE(cells.cells[1].samples.empty());
  ASSERT_EQ(cells.plans.size(), 2u);
  EXPECT_EQ(cells.plans[0].measured, 0.625);
  EXPECT_EQ(cells.plans[0].spread, 1);
  EXPECT_EQ(cells.plans[1].predicted, 0.25);
  EXPECT_EQ(cells.plans[1].spread, 17.5);
  const auto none = store.addTrial(scan + 7, {1, 1});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::NotFound);
}

TEST(Store, ManyMayCreateTheSameFileAtOnce) {
  const TempDir folder;
  std::vector<std::thread> threads;
  std::atomic<int> added = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      auto store = ExperimentStore::open(folder / "new.sqlite");
      if (store && store->add(runNamed("x"))) ++added;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(added, 8);
}

TEST(Store, KilledInTheMiddleOfWritingItKeepsEveryCommittedCell) {
  const TempDir folder;
  const auto path = folder / "s.sqlite";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = ExperimentStore::open(path);
    if (!store) ::_exit(1);
    auto scan = store->beginScan(kKey, runNamed("scan", RunKind::Scan, "running"));
    if (!scan) ::_exit(2);
    for (int i = 0;; ++i) {
      if (!store->addCell(*scan, cellOf(i))) ::_exit(3);
      if (::write(ends[1], &i, sizeof i) != sizeof i) ::_exit(4);
    }
  }
  ::close(ends[1]);
  int last = -1;
  for (int heard = 0; heard < 100; ++heard) {
    ASSERT_EQ(::read(ends[0], &last, sizeof last), ssize_t(sizeof last));
  }
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  // What it had still reported was committed before it was reported.
  for (int next = 0; ::read(ends[0], &next, sizeof next) == ssize_t(sizeof next);) last = next;
  ::close(ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));

  ExperimentStore store = openStore(path);
  const auto scan = *store.findScan(kKey);
  ASSERT_TRUE(scan);
  EXPECT_EQ(store.run(*scan)->state, "interrupted");
  const Sensitivity cells = *store.cells(*scan);
  EXPECT_GE(cells.cells.size(), size_t(last) + 1);
  for (int i = 0; i <= last; ++i) {
    const Cell expected = cellOf(i);
    const Cell* cell = cells.find(expected.tensor, "q4_0");
    ASSERT_NE(cell, nullptr) << i;
    EXPECT_EQ(cell->value, expected.value);
  }
}

TEST(Store, RunsOfLivingProcessesStayRunning) {
  const TempDir folder;
  const auto path = folder / "s.sqlite";
  const int64_t own = *openStore(path).add(runNamed("own", RunKind::Quantize, "running"));
  int ready[2], done[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(done), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(done[1]);
    int64_t id = 0;
    {
      auto store = ExperimentStore::open(path);
      if (store) id = store->add(runNamed("other", RunKind::Quantize, "running")).value();
    }
    if (::write(ready[1], &id, sizeof id) != sizeof id) ::_exit(1);
    char byte = 0;
    [[maybe_unused]] const ssize_t ended = ::read(done[0], &byte, 1);
    ::_exit(0);
  }
  int64_t other = 0;
  ASSERT_EQ(::read(ready[0], &other, sizeof other), ssize_t(sizeof other));
  {
    const ExperimentStore store = openStore(path);
    EXPECT_EQ(store.run(own)->state, "running");
    EXPECT_EQ(store.run(other)->state, "running");
  }
  ::close(done[1]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const ExperimentStore store = openStore(path);
  EXPECT_EQ(store.run(own)->state, "running");
  EXPECT_EQ(store.run(other)->state, "interrupted");
}

TEST(Store, ARunFromBeforeTheLastBootIsInterrupted) {
  const TempDir folder;
  const auto path = folder / "s.sqlite";
  const int64_t id = *openStore(path).add(runNamed("old", RunKind::Quantize, "running"));
  // Number and start time are those of this process; the boot is another one.
  execute(path, "UPDATE runs SET owner = 'x' || substr(owner, 2)");
  EXPECT_EQ(openStore(path).run(id)->state, "interrupted");
}

TEST(Store, WhatIsNoStoreIsRefusedByName) {
  const TempDir folder;
  const auto text = folder / "text.sqlite";
  writeFile(text, std::string(5000, 'x'));
  expectRefused(text, ErrorCode::Corrupt, "not a database");
  EXPECT_EQ(test::readFile(text), std::string(5000, 'x'));

  expectRefused(folder.path(), ErrorCode::Io, "folder");

  const auto stranger = folder / "stranger.sqlite";
  execute(stranger, "CREATE TABLE bookmarks(url TEXT)");
  expectRefused(stranger, ErrorCode::InvalidArgument, "another program");

  EXPECT_EQ(int(ExperimentStore::open("").error().code), int(ErrorCode::InvalidArgument));
}

TEST(Store, AFileOfANewerVersionIsRefusedAndLeftAlone) {
  const TempDir folder;
  const auto path = folder / "s.sqlite";
  openStore(path);
  execute(path, "PRAGMA user_version = 1000");
  const std::string before = test::readFile(path);
  expectRefused(path, ErrorCode::Unsupported, "1000");
  EXPECT_EQ(test::readFile(path), before);
}

TEST(Store, ADamagedFileIsRefusedByName) {
  const TempDir folder;
  const auto path = folder / "s.sqlite";
  {
    ExperimentStore store = openStore(path);
    const int64_t scan = *store.beginScan(kKey, runNamed("scan", RunKind::Scan));
    std::vector<Cell> cells;
    for (int i = 0; i < 2000; ++i) cells.push_back(cellOf(i));
    ASSERT_TRUE(store.addCells(scan, cells));
  }
  std::string bytes = test::readFile(path);
  ASSERT_GT(bytes.size(), 40000u);
  for (size_t i = bytes.size() / 2; i < bytes.size() - 4096; ++i) bytes[i] = char(i * 37);
  writeFile(path, bytes);
  expectRefused(path, ErrorCode::Corrupt, "store of experiments");
}

TEST(Store, AFolderThatCannotBeMadeIsNamed) {
  const TempDir folder;
  writeFile(folder / "file", "x");
  const auto store = ExperimentStore::open(folder / "file/below/s.sqlite");
  ASSERT_FALSE(store);
  EXPECT_EQ(int(store.error().code), int(ErrorCode::Io));
  EXPECT_NE(store.error().message.find((folder / "file").string()), std::string::npos);
  expectRefused("/proc/bitloom.sqlite", ErrorCode::Io, "");
}

TEST(Store, TheDefaultPathIsInTheUsersDataFolder) {
  const auto with = [](const char* data, const char* home) {
    const std::string oldData = ::getenv("XDG_DATA_HOME") ? ::getenv("XDG_DATA_HOME") : "";
    const std::string oldHome = ::getenv("HOME") ? ::getenv("HOME") : "";
    ::setenv("XDG_DATA_HOME", data, 1);
    ::setenv("HOME", home, 1);
    const auto path = ExperimentStore::defaultPath();
    ::setenv("XDG_DATA_HOME", oldData.c_str(), 1);
    ::setenv("HOME", oldHome.c_str(), 1);
    return path.string();
  };
  EXPECT_EQ(with("/data", "/home/u"), "/data/bitloom/experiments.sqlite");
  EXPECT_EQ(with("", "/home/u"), "/home/u/.local/share/bitloom/experiments.sqlite");
  EXPECT_EQ(with("relative", "/home/u"), "/home/u/.local/share/bitloom/experiments.sqlite");
}

TEST(Store, TheNamesOfKindsAreThoseOfTheCommandLine) {
  EXPECT_EQ(name(RunKind::Scan), "scan");
  EXPECT_EQ(name(RunKind::Quantize), "quantize");
  EXPECT_EQ(name(RunKind::Chat), "chat");
}

}  // namespace
}  // namespace bitloom
