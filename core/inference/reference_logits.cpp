// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/reference_logits.h"

namespace bitloom {

ReferenceLogits::ReferenceLogits(Matrix logits, JobContext& job)
    : m_logits(std::move(logits)), m_rows(m_logits.rows) {
  job.parallelFor(m_rows.size(), 1, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      m_rows[row] = logitRow({m_logits.row(row), m_logits.cols});
    }
  });
}

}  // namespace bitloom
