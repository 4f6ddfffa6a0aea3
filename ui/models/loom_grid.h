// SPDX-License-Identifier: GPL-3.0-or-later
// Where each weight stands in the Loom: rows are roles, columns are blocks, with the embedding
// before the first and the head after the last (one of them only when they are tied). Heatmap and
// faders share it, and the plan table its order. A plain value, made from an open model.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/graph.h"
#include "core/model.h"

namespace bitloom {

struct GridPosition {
  int row = 0;     // index in `roles`; 0 for the embedding and the head
  int column = 0;  // 0: embedding, 1 … blocks: blocks, blocks + 1: head
  bool operator==(const GridPosition&) const = default;
};

class LoomGrid {
 public:
  LoomGrid() = default;
  // `graph` may be null (a family that Bitloom cannot run): roles then come from tensor names.
  LoomGrid(const Model& model, const Graph* graph);

  int rows() const { return int(m_roles.size()); }
  int blocks() const { return m_blocks; }
  int columns() const { return m_blocks + 2; }
  bool isEmpty() const { return m_tensors.empty(); }
  bool tiedHead() const { return m_tied; }
  const std::string& role(int row) const { return m_roles[size_t(row)]; }

  // Empty where the model has no such tensor.
  std::optional<size_t> at(int row, int column) const;
  std::optional<size_t> embedding() const { return m_embedding; }
  std::optional<size_t> head() const { return m_head; }
  std::optional<GridPosition> find(size_t tensor) const;

  std::vector<size_t> column(int column) const;
  std::vector<size_t> row(int row) const;
  // All weights that a recipe may change, embedding first, then block by block, head last.
  const std::vector<size_t>& tensors() const { return m_tensors; }

 private:
  void place(size_t tensor, const Part& part);
  std::vector<std::string> m_roles;
  std::vector<std::optional<size_t>> m_cells;  // row-major, rows × blocks
  std::optional<size_t> m_embedding;
  std::optional<size_t> m_head;
  std::vector<size_t> m_tensors;
  int m_blocks = 0;
  bool m_tied = false;
};

}  // namespace bitloom
