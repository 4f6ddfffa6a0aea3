// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/experiments/schema.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Transaction.h>

#include <array>

#include "core/base/strings.h"

namespace bitloom {
namespace {

// Step i leads from version i to i + 1.
//
// runs      one row for everything that was tried. `deleted` hides a row, so that a removal can be
//           undone. `owner` is the process that has the run in state 'running'.
// recipes   the exact recipe of runs, once for each text, by its SHA-256.
// scans     the key under which a sensitivity scan is found again.
// cells     measured values; doubles are stored as SQLite's 8-byte reals, bit for bit, `samples`
//           as little-endian 4-byte floats.
// trials    whole plans, predicted by a scan's cells and measured.
// votes     which of two answers was liked better.
constexpr std::array kSteps = {
    R"(
PRAGMA application_id = 1112820813;
CREATE TABLE recipes(
  hash TEXT PRIMARY KEY NOT NULL,
  json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  created TEXT NOT NULL,
  model TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  title TEXT NOT NULL,
  state TEXT NOT NULL,
  recipe TEXT REFERENCES recipes(hash),
  plan_hash TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  bits_per_weight REAL,
  path TEXT NOT NULL,
  result TEXT NOT NULL,
  notes TEXT NOT NULL,
  owner TEXT NOT NULL,
  deleted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX runs_by_model ON runs(fingerprint);
CREATE TABLE scans(
  run INTEGER PRIMARY KEY REFERENCES runs(id),
  fingerprint TEXT NOT NULL,
  metric TEXT NOT NULL,
  method TEXT NOT NULL,
  text_hash TEXT NOT NULL);
CREATE INDEX scans_by_key ON scans(fingerprint, metric, method, text_hash);
CREATE TABLE cells(
  scan INTEGER NOT NULL REFERENCES scans(run),
  tensor TEXT NOT NULL,
  codec TEXT NOT NULL,
  metric TEXT NOT NULL,
  value REAL,
  error REAL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY(scan, tensor, codec)) WITHOUT ROWID;
CREATE TABLE votes(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES runs(id),
  prompt TEXT NOT NULL,
  left_title TEXT NOT NULL,
  right_title TEXT NOT NULL,
  left_text TEXT NOT NULL,
  right_text TEXT NOT NULL,
  winner TEXT NOT NULL CHECK(winner IN ('left', 'tie', 'right')),
  blind INTEGER NOT NULL);
)",
    R"(
ALTER TABLE cells ADD COLUMN samples BLOB;
CREATE TABLE trials(
  scan INTEGER NOT NULL REFERENCES scans(run),
  predicted REAL NOT NULL,
  measured REAL NOT NULL);
CREATE INDEX trials_by_scan ON trials(scan);
)",
    // Predictions of before were sums of raw cells.
    R"(
DELETE FROM trials;
ALTER TABLE trials ADD COLUMN spread REAL NOT NULL DEFAULT 1;
)",
};

}  // namespace

int schemaVersion() { return int(kSteps.size()); }

void migrate(SQLite::Database& database) {
  // Two programs may open an old file at once: only one of them finds the old version.
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  const int from = database.execAndGet("PRAGMA user_version").getInt();
  for (int step = from; step < schemaVersion(); ++step) database.exec(kSteps[size_t(step)]);
  if (from < schemaVersion()) database.exec(strCat("PRAGMA user_version = ", schemaVersion()));
  transaction.commit();
}

}  // namespace bitloom
