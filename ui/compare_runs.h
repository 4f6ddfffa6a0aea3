// SPDX-License-Identifier: GPL-3.0-or-later
// What differs between two stored runs: figures with their noise, and tensors by codec.
#pragma once
#include <QString>
#include <vector>

#include "core/experiments/store.h"
#include "core/model.h"

namespace bitloom {

struct RunDifference {
  struct Figure {
    QString name, first, second, difference;
    bool tied = false;  // inside the noise
  };
  struct Change {
    QString tensor, first, second;
    int64_t bytes = 0;  // second − first
  };
  std::vector<Figure> figures;
  std::vector<Change> changes;  // tensors whose effective codec differs
  QString note;                 // why tensors could not be compared
};

// `model` may be null, or not the runs' model: then tensors are not compared.
RunDifference compareRuns(const Run& first, const Run& second, const Model* model);

}  // namespace bitloom
