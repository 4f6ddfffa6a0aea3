// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/loom_grid.h"

#include <algorithm>
#include <charconv>

#include "core/recipe.h"

namespace bitloom {
namespace {

// "blk.12.attn_q.weight" → {12, "attn_q"}; other names are their own role, outside the blocks.
Part partOfName(const std::string& name) {
  const std::string_view text = name;
  const size_t end = text.ends_with(".weight") ? text.size() - 7 : text.size();
  if (!text.starts_with("blk.")) return {kNone, std::string(text.substr(0, end)), ""};
  const size_t dot = text.find('.', 4);
  if (dot == std::string_view::npos || dot + 1 >= end) return {kNone, name, ""};
  int block = 0;
  std::from_chars(text.data() + 4, text.data() + dot, block);
  return {block, std::string(text.substr(dot + 1, end - dot - 1)), ""};
}

}  // namespace

LoomGrid::LoomGrid(const Model& model, const Graph* graph) {
  const auto tensors = model.tensors();
  std::vector<std::pair<size_t, Part>> parts;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!isQuantizable(tensors[i])) continue;
    Part part = graph && i < graph->parts.size() ? graph->parts[i] : Part{};
    if (part.role.empty()) part = partOfName(tensors[i].name);
    parts.emplace_back(i, part);
  }
  for (const auto& [tensor, part] : parts) m_blocks = std::max(m_blocks, part.block + 1);
  if (graph) m_blocks = int(graph->blocks);
  m_tied = graph && graph->tiedHead;

  const auto addRole = [&](const std::string& role) {
    const auto has = [&](const auto& p) {
      return p.second.role == role && p.second.block >= 0 && p.second.block < m_blocks;
    };
    if (std::find(m_roles.begin(), m_roles.end(), role) != m_roles.end()) return;
    if (std::any_of(parts.begin(), parts.end(), has)) m_roles.push_back(role);
  };
  if (graph) {
    for (const std::string& role : graph->roles) addRole(role);
  }
  for (const auto& [tensor, part] : parts) addRole(part.role);

  m_cells.resize(m_roles.size() * size_t(m_blocks));
  for (const auto& [tensor, part] : parts) place(tensor, part);
  if (m_embedding) m_tensors.push_back(*m_embedding);
  for (int c = 1; c <= m_blocks; ++c) {
    for (int r = 0; r < rows(); ++r) {
      if (const auto tensor = at(r, c)) m_tensors.push_back(*tensor);
    }
  }
  if (m_head) m_tensors.push_back(*m_head);
}

void LoomGrid::place(size_t tensor, const Part& part) {
  if (part.block >= 0 && part.block < m_blocks) {
    const auto role = std::find(m_roles.begin(), m_roles.end(), part.role);
    const size_t row = size_t(role - m_roles.begin());
    auto& cell = m_cells[row * size_t(m_blocks) + size_t(part.block)];
    if (!cell) cell = tensor;
  } else if (part.role == "token_embd" && !m_embedding) {
    m_embedding = tensor;
  } else if (part.role == "output" && !m_head) {
    m_head = tensor;
  }
}

std::optional<size_t> LoomGrid::at(int row, int column) const {
  if (column == 0) return m_embedding;
  if (column == m_blocks + 1) return m_head;
  if (row < 0 || row >= rows() || column < 1 || column > m_blocks) return std::nullopt;
  return m_cells[size_t(row) * size_t(m_blocks) + size_t(column - 1)];
}

std::optional<GridPosition> LoomGrid::find(size_t tensor) const {
  if (m_embedding == tensor) return GridPosition{0, 0};
  if (m_head == tensor) return GridPosition{0, m_blocks + 1};
  for (size_t i = 0; i < m_cells.size(); ++i) {
    if (m_cells[i] == tensor) {
      return GridPosition{int(i / size_t(m_blocks)), int(i % size_t(m_blocks)) + 1};
    }
  }
  return std::nullopt;
}

std::vector<size_t> LoomGrid::column(int column) const {
  std::vector<size_t> tensors;
  const bool single = column == 0 || column == m_blocks + 1;
  for (int r = 0; r < (single ? 1 : rows()); ++r) {
    if (const auto tensor = at(r, column)) tensors.push_back(*tensor);
  }
  return tensors;
}

std::vector<size_t> LoomGrid::row(int row) const {
  std::vector<size_t> tensors;
  for (int c = 1; c <= m_blocks; ++c) {
    if (const auto tensor = at(row, c)) tensors.push_back(*tensor);
  }
  return tensors;
}

}  // namespace bitloom
