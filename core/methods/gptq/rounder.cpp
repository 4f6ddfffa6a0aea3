// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/methods/gptq/rounder.h"

#include <algorithm>
#include <cmath>

#include "core/half.h"
#include "kernels/cpu/elimination.h"

namespace bitloom::gptq {
namespace {

constexpr size_t kPanel = 128;  // columns whose errors are passed on far away together

}  // namespace

Rounder::Rounder(const Codec& codec, std::span<const float> h, std::span<const float> upper,
                 size_t n)
    : m_codec(codec), m_grid(*codec.grid), m_h(h), m_upper(upper), m_n(n) {
  if (m_grid.toBasis != nullptr) return;
  std::vector<float> diagonal(n);
  for (size_t i = 0; i < n; ++i) diagonal[i] = std::max(0.0f, h[i * n + i]);
  if (*std::max_element(diagonal.begin(), diagonal.end()) > 0) m_importances = std::move(diagonal);
}

void Rounder::begin(std::span<const float> rows) {
  m_rows = rows.size() / m_n;
  m_targets.assign(rows.begin(), rows.end());
  m_values = m_targets;
  m_rounded.resize(rows.size());
  m_codes.resize(rows.size());
  m_parameters.resize(m_rows * ((m_n + m_grid.block - 1) / m_grid.block) * m_grid.parameters);
  m_local.resize(m_rows * m_grid.block);
  m_before.resize(m_rows * m_grid.block);
}

float* Rounder::parametersOf(size_t row, const Block& block) {
  const size_t blocks = (m_n + m_grid.block - 1) / m_grid.block;
  return &m_parameters[(row * blocks + block.at / m_grid.block) * m_grid.parameters];
}

void Rounder::fit(const Block& block) {
  const auto weights = m_importances.empty()
                           ? std::span<const float>()
                           : std::span(m_importances).subspan(block.at, block.count);
  const size_t together = block.count == m_grid.block ? m_grid.fitBlocks : 1;
  std::vector<float> values(together * block.count), parameters(together * m_grid.parameters);
  for (size_t first = 0; first < m_rows; first += together) {
    const size_t count = std::min(together, m_rows - first);
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(&m_values[(first + i) * m_n + block.at], block.count, &values[i * block.count]);
    }
    m_grid.fit(std::span(values).first(count * block.count), weights,
               std::span(parameters).first(count * m_grid.parameters));
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(&parameters[i * m_grid.parameters], m_grid.parameters,
                  parametersOf(first + i, block));
    }
  }
}

// The values that begin at `column`; their errors e, e·U_cc = w − q, move the columns up to
// `panelEnd` and wait in m_errors for those after it.
void Rounder::roundColumns(size_t column, const Block& block, size_t panel, size_t panelEnd) {
  const size_t width = m_errors.size() / m_rows;
  for (size_t row = 0; row < m_rows; ++row) {
    const size_t place = row * m_n + column;
    m_grid.round(&m_values[place], column - block.at, {parametersOf(row, block), m_grid.parameters},
                 &m_codes[place], &m_rounded[place]);
    float* errors = &m_errors[row * width + column - panel];
    for (size_t k = 0; k < m_grid.vector; ++k) {
      const float* u = &m_upper[(column + k) * m_n + column];
      float error = m_values[place + k] - m_rounded[place + k];
      for (size_t i = 0; i < k; ++i) error -= errors[i] * m_upper[(column + i) * m_n + column + k];
      errors[k] = error / u[k];
    }
  }
  const size_t next = column + m_grid.vector;
  eliminate(Elimination<float>{.rows = m_values.data() + next,
                               .rowStride = m_n,
                               .rowCount = m_rows,
                               .factors = &m_errors[column - panel],
                               .factorRowStride = width,
                               .factorStride = 1,
                               .pivots = m_upper.data() + column * m_n + next,
                               .pivotStride = m_n,
                               .pivotCount = m_grid.vector,
                               .columns = panelEnd - next});
}

void Rounder::roundInTurn() {
  const size_t width = std::max<size_t>(1, kPanel / m_grid.block) * m_grid.block;
  m_errors.resize(m_rows * width);
  for (size_t panel = 0; panel < m_n; panel += width) {
    const size_t end = std::min(m_n, panel + width);
    for (size_t at = panel; at < end; at += m_grid.block) {
      const Block block{at, std::min(m_grid.block, end - at)};
      fit(block);
      for (size_t i = 0; i < block.count; i += m_grid.vector)
        roundColumns(at + i, block, panel, end);
    }
    eliminate(Elimination<float>{.rows = m_values.data() + end,
                                 .rowStride = m_n,
                                 .rowCount = m_rows,
                                 .factors = m_errors.data(),
                                 .factorRowStride = width,
                                 .factorStride = 1,
                                 .pivots = m_upper.data() + panel * m_n + end,
                                 .pivotStride = m_n,
                                 .pivotCount = end - panel,
                                 .columns = m_n - end});
  }
}

// Each value to the code nearest to where its gradient would be zero.
void Rounder::descendCodes(const Block& block) {
  std::vector<float> target(m_grid.vector), rounded(m_grid.vector);
  std::vector<uint8_t> codes(m_grid.vector);
  std::vector<float> moves(m_rows * m_grid.vector);  // from the new value to the old one
  for (size_t i = 0; i < block.count; i += m_grid.vector) {
    const size_t column = block.at + i;
    bool moved = false;
    for (size_t row = 0; row < m_rows; ++row) {
      float* values = &m_rounded[row * m_n + column];
      const float* slopes = &m_local[row * m_grid.block + i];
      float* move = &moves[row * m_grid.vector];
      for (size_t k = 0; k < m_grid.vector; ++k)
        target[k] = values[k] - slopes[k] / m_h[(column + k) * m_n + column + k];
      m_grid.round(target.data(), i, {parametersOf(row, block), m_grid.parameters}, codes.data(),
                   rounded.data());
      float gain = 0;  // of the error, when negative
      for (size_t k = 0; k < m_grid.vector; ++k) {
        move[k] = values[k] - rounded[k];
        float slope = -2 * slopes[k];
        for (size_t l = 0; l <= k; ++l)
          slope += (l < k ? 2 : 1) * move[l] * m_h[(column + k) * m_n + column + l];
        gain += move[k] * slope;
      }
      const bool better = gain < 0;
      for (size_t k = 0; k < m_grid.vector; ++k) {
        if (better) values[k] = rounded[k];
        if (better) m_codes[row * m_n + column + k] = codes[k];
        if (!better) move[k] = 0;
        moved |= move[k] != 0;
      }
    }
    if (!moved) continue;
    eliminate(Elimination<float>{.rows = m_local.data(),
                                 .rowStride = m_grid.block,
                                 .rowCount = m_rows,
                                 .factors = moves.data(),
                                 .factorRowStride = m_grid.vector,
                                 .factorStride = 1,
                                 .pivots = m_h.data() + column * m_n + block.at,
                                 .pivotStride = m_n,
                                 .pivotCount = m_grid.vector,
                                 .columns = block.count});
  }
}

// With v what a scale multiplies and g the gradient, the error's minimum is −v·g / v·H·v away.
void Rounder::descendScales(const Block& block) {
  if (m_grid.scaleRun == 0) return;
  const size_t run = std::min(m_grid.scaleRun, block.count);
  std::vector<float> levels(m_rows * run), products(m_rows * run), moves(m_rows * run);
  for (size_t at = 0; at < block.count; at += run) {
    const size_t column = block.at + at;
    const auto scaleOf = [&](size_t row) -> float& {
      return parametersOf(row, block)[at / m_grid.scaleRun];
    };
    for (size_t row = 0; row < m_rows; ++row) {
      const float scale = scaleOf(row);
      for (size_t i = 0; i < run; ++i)
        levels[row * run + i] = scale != 0 ? m_rounded[row * m_n + column + i] / scale : 0;
    }
    std::fill(products.begin(), products.end(), 0.0f);
    Elimination<float> task{.rows = products.data(),
                            .rowStride = run,
                            .rowCount = m_rows,
                            .factors = levels.data(),
                            .factorRowStride = run,
                            .factorStride = 1,
                            .pivots = m_h.data() + column * m_n + column,
                            .pivotStride = m_n,
                            .pivotCount = run,
                            .columns = run};
    eliminate(task);  // −v·H
    std::fill(moves.begin(), moves.end(), 0.0f);
    for (size_t row = 0; row < m_rows; ++row) {
      float slope = 0, curvature = 0;
      for (size_t i = 0; i < run; ++i) {
        slope += levels[row * run + i] * m_local[row * m_grid.block + at + i];
        curvature -= levels[row * run + i] * products[row * run + i];
      }
      if (!(curvature > 0)) continue;
      float& scale = scaleOf(row);
      const float solved = roundToHalf(scale - slope / curvature);
      const float change = solved - scale;
      if (!(solved * scale > 0) || !(change * (2 * slope + change * curvature) < 0)) continue;
      scale = solved;
      for (size_t i = 0; i < run; ++i) {
        float& value = m_rounded[row * m_n + column + i];
        moves[row * run + i] = value - levels[row * run + i] * solved;
        value = levels[row * run + i] * solved;
      }
    }
    task.rows = m_local.data();
    task.rowStride = m_grid.block;
    task.factors = moves.data();
    task.pivots = m_h.data() + column * m_n + block.at;
    task.columns = block.count;
    eliminate(task);
  }
}

// By what the block's values have moved since m_before.
void Rounder::moveGradients(const Block& block) {
  bool moved = false;
  for (size_t row = 0; row < m_rows; ++row) {
    for (size_t i = 0; i < block.count; ++i) {
      float& before = m_before[row * m_grid.block + i];
      before -= m_rounded[row * m_n + block.at + i];
      moved |= before != 0;
    }
  }
  if (!moved) return;
  eliminate(Elimination<float>{.rows = m_gradients.data(),
                               .rowStride = m_n,
                               .rowCount = m_rows,
                               .factors = m_before.data(),
                               .factorRowStride = m_grid.block,
                               .factorStride = 1,
                               .pivots = m_h.data() + block.at * m_n,
                               .pivotStride = m_n,
                               .pivotCount = block.count,
                               .columns = m_n});
}

void Rounder::descend(int sweeps) {
  m_gradients.assign(m_rows * m_n, 0.0f);
  for (size_t i = 0; i < m_values.size(); ++i) m_values[i] = m_targets[i] - m_rounded[i];
  eliminate(Elimination<float>{.rows = m_gradients.data(),
                               .rowStride = m_n,
                               .rowCount = m_rows,
                               .factors = m_values.data(),
                               .factorRowStride = m_n,
                               .factorStride = 1,
                               .pivots = m_h.data(),
                               .pivotStride = m_n,
                               .pivotCount = m_n,
                               .columns = m_n});
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    for (size_t at = 0; at < m_n; at += m_grid.block) {
      const Block block{at, std::min(m_grid.block, m_n - at)};
      for (size_t row = 0; row < m_rows; ++row) {
        std::copy_n(&m_gradients[row * m_n + at], block.count, &m_local[row * m_grid.block]);
        std::copy_n(&m_rounded[row * m_n + at], block.count, &m_before[row * m_grid.block]);
      }
      descendCodes(block);
      descendScales(block);
      moveGradients(block);
    }
  }
}

double Rounder::error() const {
  double sum = 0;
  for (size_t row = 0; row < m_rows; ++row) {
    for (size_t i = 0; i < m_n; ++i) {
      double product = 0;
      for (size_t j = 0; j < m_n; ++j) {
        const size_t place = row * m_n + j;
        product += double(m_rounded[place] - m_targets[place]) * double(m_h[i * m_n + j]);
      }
      sum += product * double(m_rounded[row * m_n + i] - m_targets[row * m_n + i]);
    }
  }
  return sum;
}

void Rounder::pack(std::span<std::byte> bytes) const {
  const size_t rowBytes = m_codec.rowBytes(m_n);
  const size_t blocks = (m_n + m_grid.block - 1) / m_grid.block;
  for (size_t row = 0; row < m_rows; ++row) {
    const auto out = bytes.subspan(row * rowBytes, rowBytes);
    for (size_t at = 0; at < m_n; at += m_grid.block) {
      const size_t count = std::min(m_grid.block, m_n - at);
      const size_t begin = m_codec.rowBytes(at), end = m_codec.rowBytes(at + count);
      m_grid.pack(
          std::span(m_parameters)
              .subspan((row * blocks + at / m_grid.block) * m_grid.parameters, m_grid.parameters),
          std::span(m_codes).subspan(row * m_n + at, count), out.subspan(begin, end - begin));
    }
  }
}

}  // namespace bitloom::gptq
