// SPDX-License-Identifier: GPL-3.0-or-later
// The current plan against its honest rivals on held-out text: the uniform codecs that lie next to
// it in size, and a mix of the same size made without knowledge. A job; any thread.
#pragma once
#include <QString>
#include <vector>

#include "core/evaluate.h"
#include "core/recipe.h"
#include "core/sensitivity.h"
#include "ui/model_work.h"

namespace bitloom {

struct ProveRow {
  QString title;
  Recipe recipe;
  Plan plan;
  Evaluation evaluation;
  bool tied = false;  // with the plan, inside the noise
};

struct ProveReport {
  std::vector<ProveRow> rows;  // the plan first
  QString verdict;             // one sentence
  QString text;                // name of the held-out text
};

struct ProveRequest {
  QString label;
  Recipe recipe;
  std::vector<const Codec*> ladder;
  Sensitivity cells;  // `kld`; empty: no blind mix
};

Result<ProveReport> prove(ModelWork& work, const ProveRequest& request, JobContext& job);
std::string toJson(const ProveReport& report);  // keys as in `eval --json`, rivals beside them

}  // namespace bitloom
