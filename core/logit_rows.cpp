// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>

#include "core/statistics.h"
#include "kernels/base/result.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {

LogitRow logitRow(std::span<const float> logits) {
  CHECK(!logits.empty());
  const CpuKernels& kernels = cpuKernels();
  LogitRow row;
  row.logits = logits;
  row.largest = kernels.largest(logits.data(), logits.size());
  row.logSum =
      double(row.largest) + std::log(kernels.sumExp(logits.data(), logits.size(), row.largest));
  row.top = uint32_t(std::find(logits.begin(), logits.end(), row.largest) - logits.begin());
  return row;
}

double klDivergence(const LogitRow& reference, const LogitRow& other) {
  CHECK(reference.logits.size() == other.logits.size());
  DivergenceArguments task;
  task.a = reference.logits.data();
  task.b = other.logits.data();
  task.count = reference.logits.size();
  task.largestA = reference.largest;
  task.largestB = other.largest;
  task.scaleA = float(std::exp(double(reference.largest) - reference.logSum));
  task.scaleB = float(std::exp(double(other.largest) - other.logSum));
  // An error ε in the difference of the log sums changes the result by ε²/2 only: f32 will do.
  task.shift = float(other.logSum - reference.logSum);
  return std::max(cpuKernels().divergence(task), 0.0);
}

}  // namespace bitloom
