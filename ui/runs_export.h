// SPDX-License-Identifier: GPL-3.0-or-later
// Runs as a table or as JSON for other programs, or as a report for people; the file's ending
// decides.
#pragma once
#include <QString>
#include <vector>

#include "core/experiments/store.h"

namespace bitloom {

QByteArray runsAsCsv(const std::vector<Run>& runs);
QByteArray runsAsJson(const std::vector<Run>& runs);
Result<void> saveRuns(const std::vector<Run>& runs, const QString& path);
// .html or .md. Of runs of several models, those of the first are reported. `model` may be null, or
// another model than theirs: then the plan is shown as rules.
Result<void> saveReport(const std::vector<Run>& runs, const Sensitivity& cells, const Model* model,
                        const QString& path);

}  // namespace bitloom
