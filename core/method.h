// SPDX-License-Identifier: GPL-3.0-or-later
// A method is how codes are chosen for one tensor, given a codec. One file in core/methods/ adds
// one. A method sees codecs only through `Codec` and its `Grid`.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "core/base/job.h"
#include "core/codec.h"
#include "core/model.h"

namespace bitloom {

struct TensorStatistics;  // core/calibration.h

struct QuantizeTask {
  const Tensor& source;
  const Codec& codec;                            // holds rows of the source's length
  const TensorStatistics* statistics = nullptr;  // null: no calibration
  std::map<std::string, std::string> options;
};

struct Method {
  std::string_view name;
  std::string_view summary;
  bool needsCalibration;
  // Same bytes at any thread count. An error names the tensor (NaN or Inf in it, for one).
  Result<Encoded> (*quantize)(const QuantizeTask& task, JobContext& job);
  bool needsMoments = false;  // of the calibration, beside its sums
};

std::span<const Method* const> methods();
const Method* findMethod(std::string_view name);

}  // namespace bitloom
