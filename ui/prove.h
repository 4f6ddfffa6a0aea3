// SPDX-License-Identifier: GPL-3.0-or-later
// The current plan against its honest rivals on held-out text: the uniform codecs that lie next to
// it in size, and a mix of the same size made without knowledge. A job; any thread.
#pragma once
#include <QString>
#include <optional>
#include <vector>

#include "core/paired.h"
#include "core/recipe.h"
#include "core/sensitivity.h"
#include "core/strata.h"
#include "ui/job_device.h"
#include "ui/model_work.h"

namespace bitloom {

struct ProveRow {
  QString title;
  Recipe recipe;
  Plan plan;
  Evaluation evaluation;
  std::vector<StratumResult> strata;  // the same by text
  bool tied = false;                  // with the plan, inside the noise
};

struct ProveReport {
  std::vector<ProveRow> rows;         // the plan first
  QString verdict;                    // one sentence
  QString text;                       // name of the held-out text
  std::optional<WorstStratum> worst;  // of the plan
  DeviceUse use;                      // how it was computed
};

struct ProveRequest {
  QString label;
  Recipe recipe;
  std::vector<const Codec*> ladder;
  Sensitivity cells;  // `kld`; empty: no blind mix
  JobDevice device;
};

Result<ProveReport> prove(ModelWork& work, const ProveRequest& request, JobContext& job);
std::string toJson(const ProveReport& report);  // keys as in `eval --json`, rivals beside them

}  // namespace bitloom
