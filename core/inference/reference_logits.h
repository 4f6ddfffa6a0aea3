// SPDX-License-Identifier: GPL-3.0-or-later
// Logits that other variants are compared with, row by row. A device that compares keeps a copy.
#pragma once
#include <memory>
#include <vector>

#include "core/base/job.h"
#include "core/inference/forward.h"
#include "core/statistics.h"

namespace bitloom {

struct DeviceLogits;  // core/inference/device_program.h

class ReferenceLogits {
 public:
  ReferenceLogits() = default;
  ReferenceLogits(Matrix logits, JobContext& job);
  ReferenceLogits(ReferenceLogits&&) noexcept = default;
  ReferenceLogits& operator=(ReferenceLogits&&) noexcept = default;

  const Matrix& logits() const { return m_logits; }
  const std::vector<LogitRow>& rows() const { return m_rows; }
  uint64_t bytes() const { return m_logits.values.size() * sizeof(float); }

  // What a device keeps of it; null at first. Guarded by the backend's mutex.
  std::shared_ptr<DeviceLogits>& onDevice() const { return m_onDevice; }

 private:
  Matrix m_logits;
  std::vector<LogitRow> m_rows;  // point into the logits
  mutable std::shared_ptr<DeviceLogits> m_onDevice;
};

}  // namespace bitloom
