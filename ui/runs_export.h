// SPDX-License-Identifier: GPL-3.0-or-later
// Runs as a table or as JSON for other programs; the file's ending decides.
#pragma once
#include <QString>
#include <vector>

#include "core/experiments/store.h"

namespace bitloom {

QByteArray runsAsCsv(const std::vector<Run>& runs);
QByteArray runsAsJson(const std::vector<Run>& runs);
Result<void> saveRuns(const std::vector<Run>& runs, const QString& path);

}  // namespace bitloom
