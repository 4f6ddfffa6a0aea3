// SPDX-License-Identifier: GPL-3.0-or-later
// Scans with their cells, and votes.
#include <cstring>

#include "core/experiments/owner.h"
#include "core/experiments/store_state.h"

namespace bitloom {

using SQLite::Statement;

namespace {

void bindKey(Statement& statement, const ScanKey& key, int first) {
  statement.bind(first, key.fingerprint);
  statement.bind(first + 1, key.metric);
  statement.bind(first + 2, key.method);
  statement.bind(first + 3, key.textHash);
}

void bindSamples(Statement& statement, int index, const std::vector<float>& samples) {
  if (samples.empty()) {
    statement.bind(index);
  } else {
    statement.bind(index, samples.data(), int(samples.size() * sizeof(float)));
  }
}

std::vector<float> samplesOf(const SQLite::Column& column) {
  std::vector<float> samples(size_t(column.getBytes()) / sizeof(float));
  if (!samples.empty()) {
    std::memcpy(samples.data(), column.getBlob(), samples.size() * sizeof(float));
  }
  return samples;
}

}  // namespace

// --- scans ------------------------------------------------------------------------------------

std::optional<int64_t> ExperimentStore::State::findScan(const ScanKey& key) {
  Statement select(database,
                   "SELECT max(run) FROM scans JOIN runs ON runs.id = scans.run "
                   "WHERE scans.fingerprint = ? AND metric = ? AND method = ? AND text_hash = ? "
                   "AND deleted = 0");
  bindKey(select, key, 1);
  if (!select.executeStep() || select.getColumn(0).isNull()) return std::nullopt;
  return select.getColumn(0).getInt64();
}

Result<std::optional<int64_t>> ExperimentStore::findScan(const ScanKey& key) const {
  return guarded(path(),
                 [&]() -> Result<std::optional<int64_t>> { return m_state->findScan(key); });
}

Result<int64_t> ExperimentStore::beginScan(const ScanKey& key, const Run& run) {
  TRY(checkState(run));
  return guarded(path(), [&]() -> Result<int64_t> {
    SQLite::Transaction transaction(m_state->database, SQLite::TransactionBehavior::IMMEDIATE);
    std::optional<int64_t> id = m_state->findScan(key);
    if (id) {
      Statement resume(m_state->database, "UPDATE runs SET state = ?, owner = ? WHERE id = ?");
      resume.bind(1, run.state);
      resume.bind(2, run.state == "running" ? ownProcess() : std::string());
      resume.bind(3, *id);
      resume.exec();
    } else {
      id = m_state->insert(run);
      Statement insert(m_state->database,
                       "INSERT INTO scans(run, fingerprint, metric, method, text_hash) "
                       "VALUES(?, ?, ?, ?, ?)");
      insert.bind(1, *id);
      bindKey(insert, key, 2);
      insert.exec();
    }
    transaction.commit();
    return *id;
  });
}

Result<void> ExperimentStore::addCell(int64_t scan, const Cell& cell) {
  return addCells(scan, std::span(&cell, 1));
}

Result<void> ExperimentStore::addCells(int64_t scan, std::span<const Cell> cells) {
  return guarded(path(), [&]() -> Result<void> {
    SQLite::Transaction transaction(m_state->database, SQLite::TransactionBehavior::IMMEDIATE);
    Statement known(m_state->database, "SELECT 1 FROM scans WHERE run = ?");
    known.bind(1, scan);
    if (!known.executeStep()) {
      return m_state->none("scan", scan);
    }
    Statement insert(
        m_state->database,
        "INSERT OR REPLACE INTO cells(scan, tensor, codec, metric, value, error, bytes, samples) "
        "VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
    for (const Cell& cell : cells) {
      insert.bind(1, scan);
      insert.bind(2, cell.tensor);
      insert.bind(3, cell.codec);
      insert.bind(4, cell.metric);
      bindReal(insert, 5, cell.value);
      bindReal(insert, 6, cell.error);
      insert.bind(7, toStored(cell.bytes));
      bindSamples(insert, 8, cell.samples);
      insert.exec();
      insert.reset();
    }
    transaction.commit();
    return {};
  });
}

Result<void> ExperimentStore::addTrial(int64_t scan, const PredictedPlan& plan) {
  return guarded(path(), [&]() -> Result<void> {
    Statement insert(m_state->database,
                     "INSERT INTO trials(scan, predicted, measured, spread) "
                     "SELECT run, ?, ?, ? FROM scans WHERE run = ?");
    insert.bind(1, plan.predicted);
    insert.bind(2, plan.measured);
    insert.bind(3, plan.spread);
    insert.bind(4, scan);
    if (insert.exec() == 0) return m_state->none("scan", scan);
    return {};
  });
}

Result<Sensitivity> ExperimentStore::cells(int64_t scan) const {
  return guarded(path(), [&]() -> Result<Sensitivity> {
    Statement header(m_state->database,
                     "SELECT metric, fingerprint, text_hash, method FROM scans WHERE run = ?");
    header.bind(1, scan);
    if (!header.executeStep()) {
      return m_state->none("scan", scan);
    }
    Sensitivity result;
    result.metric = header.getColumn(0).getString();
    result.fingerprint = header.getColumn(1).getString();
    result.textHash = header.getColumn(2).getString();
    result.method = header.getColumn(3).getString();
    Statement rows(m_state->database,
                   "SELECT tensor, codec, metric, value, error, bytes, samples FROM cells "
                   "WHERE scan = ? "
                   "ORDER BY tensor, codec");
    rows.bind(1, scan);
    while (rows.executeStep()) {
      result.cells.push_back({.tensor = rows.getColumn(0).getString(),
                              .codec = rows.getColumn(1).getString(),
                              .metric = rows.getColumn(2).getString(),
                              .value = realOf(rows.getColumn(3)),
                              .error = realOf(rows.getColumn(4)),
                              .bytes = fromStored(rows.getColumn(5)),
                              .samples = samplesOf(rows.getColumn(6))});
    }
    Statement trials(m_state->database,
                     "SELECT predicted, measured, spread FROM trials WHERE scan = ? "
                     "ORDER BY rowid");
    trials.bind(1, scan);
    while (trials.executeStep()) {
      result.plans.push_back(
          {realOf(trials.getColumn(0)), realOf(trials.getColumn(1)), realOf(trials.getColumn(2))});
    }
    return result;
  });
}

// --- votes ------------------------------------------------------------------------------------

Result<void> ExperimentStore::addVote(const Vote& vote) {
  if (vote.winner != "left" && vote.winner != "tie" && vote.winner != "right") {
    return makeError(ErrorCode::InvalidArgument, "The vote on run ", vote.run, " is for \"",
                     vote.winner, "\", which is none of left, tie and right.");
  }
  TRY(const Run voted, run(vote.run));
  if (voted.kind != RunKind::Chat) {
    return makeError(ErrorCode::InvalidArgument, "Run ", vote.run, " is of kind ", name(voted.kind),
                     ", and only a chat can be voted on.");
  }
  return guarded(path(), [&]() -> Result<void> {
    Statement insert(
        m_state->database,
        "INSERT INTO votes(run, prompt, left_title, right_title, left_text, right_text, "
        "winner, blind) VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
    insert.bind(1, vote.run);
    insert.bind(2, vote.prompt);
    insert.bind(3, vote.left);
    insert.bind(4, vote.right);
    insert.bind(5, vote.leftText);
    insert.bind(6, vote.rightText);
    insert.bind(7, vote.winner);
    insert.bind(8, vote.blind ? 1 : 0);
    insert.exec();
    return {};
  });
}

Result<std::vector<Vote>> ExperimentStore::votes() const {
  return guarded(path(), [&]() -> Result<std::vector<Vote>> {
    Statement rows(
        m_state->database,
        "SELECT run, prompt, left_title, right_title, left_text, right_text, winner, blind "
        "FROM votes JOIN runs ON runs.id = votes.run WHERE deleted = 0 ORDER BY votes.id");
    std::vector<Vote> result;
    while (rows.executeStep()) {
      result.push_back({.run = rows.getColumn(0).getInt64(),
                        .prompt = rows.getColumn(1).getString(),
                        .left = rows.getColumn(2).getString(),
                        .right = rows.getColumn(3).getString(),
                        .leftText = rows.getColumn(4).getString(),
                        .rightText = rows.getColumn(5).getString(),
                        .winner = rows.getColumn(6).getString(),
                        .blind = rows.getColumn(7).getInt() != 0});
    }
    return result;
  });
}

}  // namespace bitloom
