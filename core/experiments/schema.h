// SPDX-License-Identifier: GPL-3.0-or-later
// The tables of the experiment store and how a file of an older version becomes a current one.
// A published migration is never edited: a change is a new step at the end. Private to the store.
#pragma once

namespace SQLite {
class Database;
}

namespace bitloom {

constexpr int kApplicationId = 0x42544c4d;  // "BTLM", in the header of every store

int schemaVersion();  // what this program writes to PRAGMA user_version

// Brings `database` to the current version in one transaction. Throws what SQLiteCpp throws;
// nothing has changed then.
void migrate(SQLite::Database& database);

}  // namespace bitloom
