// SPDX-License-Identifier: GPL-3.0-or-later
// Cells of a scan and tensors of a plan, laid out over blocks × roles.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/base/strings.h"
#include "core/report_parts.h"

namespace bitloom::reporting {
namespace {

// Where a tensor stands in a heatmap: a block's column and its role's row, or a column of its own.
struct Place {
  int64_t block = -1;
  std::string role;
};

Place placeOf(const std::string& tensor) {
  const std::vector<std::string> parts = split(tensor, '.');
  const bool inBlock =
      parts.size() >= 3 && parts[0] == "blk" && !parts[1].empty() && parts[1].size() < 6 &&
      std::all_of(parts[1].begin(), parts[1].end(), [](char c) { return c >= '0' && c <= '9'; });
  if (inBlock) return {std::stoll(parts[1]), parts[2]};
  return {-1, parts[0]};
}

// Lays tensors out; tiles are added by `add`.
class Layout {
 public:
  explicit Layout(const std::set<std::string>& tensors) {
    std::set<int64_t> blocks;
    std::set<std::string> roles, alone;
    for (const std::string& tensor : tensors) {
      const Place place = placeOf(tensor);
      if (place.block >= 0) {
        blocks.insert(place.block);
        roles.insert(place.role);
      } else {
        alone.insert(place.role);
      }
    }
    for (int64_t block : blocks) column(std::to_string(block));
    for (const std::string& role : roles) {
      m_rows[role] = rows.size();
      rows.push_back(role);
    }
    for (const std::string& single : alone) column(single);
    if (rows.empty()) rows.emplace_back();
  }

  void add(ReportHeatmap& map, const std::string& tensor, double value, std::string label) const {
    const Place place = placeOf(tensor);
    const bool inBlock = place.block >= 0;
    ReportHeatmap::Tile tile{m_columns.at(inBlock ? std::to_string(place.block) : place.role),
                             inBlock ? m_rows.at(place.role) : 0, value, std::move(label)};
    map.tiles.push_back(std::move(tile));
  }

  std::vector<std::string> columns, rows;

 private:
  void column(const std::string& name) {
    m_columns[name] = columns.size();
    columns.push_back(name);
  }
  std::map<std::string, size_t> m_columns, m_rows;
};

std::string typeOf(const Codec* codec, const Tensor& tensor) {
  return codec != nullptr ? std::string(codec->name) : tensor.type;
}

}  // namespace

std::string shown(double value, const char* format) {
  if (!std::isfinite(value)) return "–";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string nats(double value) { return shown(value, "%.4g"); }

void addSensitivity(Report& report, const Sensitivity& cells) {
  std::set<std::string> tensors;
  std::map<std::string, std::vector<const Cell*>> byCodec;
  for (const Cell& cell : cells.cells) {
    tensors.insert(cell.tensor);
    byCodec[cell.codec].push_back(&cell);
  }
  const Layout layout(tensors);
  for (const auto& [codec, list] : byCodec) {
    ReportHeatmap map{.heading = strCat("Damage at ", codec),
                      .note = cells.text.empty()
                                  ? std::string()
                                  : strCat("Each tensor alone, on ", cells.text, "."),
                      .unit = cells.metric,
                      .columns = layout.columns,
                      .rows = layout.rows};
    for (const Cell* cell : list) {
      std::string label = strCat(cell->tensor, ": ", nats(cell->value));
      if (cell->error > 0) label += strCat(" ± ", shown(cell->error, "%.2g"));
      layout.add(map, cell->tensor, cell->value, label + ", " + decimalSize(cell->bytes));
    }
    report.heatmaps.push_back(std::move(map));
  }
}

void addPlan(Report& report, const Plan& plan, const Model& model) {
  ReportTable table{.heading = "Plan",
                    .note = strCat(grouped(plan.fileBytes), " bytes, header included; ",
                                   shown(plan.bitsPerWeight, "%.3f"), " bits per weight."),
                    .head = {"tensor", "shape", "requested", "effective", "bits", "bytes", "why"},
                    .shownRows = kShownTensors};
  ReportHeatmap map{.heading = "Bits of the plan", .unit = "bits per weight", .logarithmic = false};
  std::set<std::string> weights;
  for (const Choice& choice : plan.tensors) {
    const Tensor& tensor = model.tensors()[choice.tensor];
    if (isQuantizable(tensor)) weights.insert(tensor.name);
  }
  const Layout layout(weights);
  map.columns = layout.columns;
  map.rows = layout.rows;
  for (const Choice& choice : plan.tensors) {
    const Tensor& tensor = model.tensors()[choice.tensor];
    const double bits = 8.0 * double(choice.bytes) / double(tensor.weights());
    const std::string type = typeOf(choice.effective, tensor);
    std::string shape;
    for (uint32_t i = 0; i < tensor.dimensions; ++i) {
      shape += (i == 0 ? "" : " × ") + std::to_string(tensor.shape[i]);
    }
    table.rows.push_back({{tensor.name},
                          {shape, true},
                          {typeOf(choice.requested, tensor)},
                          {type},
                          {shown(bits, "%.2f"), true},
                          {grouped(choice.bytes), true},
                          {choice.reason}});
    if (!weights.contains(tensor.name)) continue;
    layout.add(map, tensor.name, bits,
               strCat(tensor.name, ": ", type, ", ", shown(bits, "%.2f"), " bits, ",
                      decimalSize(choice.bytes)));
  }
  report.tables.push_back(std::move(table));
  if (!map.tiles.empty()) report.heatmaps.insert(report.heatmaps.begin(), std::move(map));
}

}  // namespace bitloom::reporting
