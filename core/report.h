// SPDX-License-Identifier: GPL-3.0-or-later
// A report on one model's runs as a file to hand over: one HTML page without any outside reference
// (styles and pictures inline, light and dark), or Markdown. Built from what the store keeps, so
// that nothing is measured for it; says of every figure on which text it was measured.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/experiments/store.h"
#include "core/model.h"
#include "core/sensitivity.h"
#include "core/statistics.h"

namespace bitloom {

struct ReportTable {
  struct Value {
    std::string text;  // plain; renderers escape it
    bool number = false;
    bool faint = false;   // inside the noise, or beside the point
    bool strong = false;  // the subject of the report
  };
  std::string heading = {}, note = {};
  std::vector<std::string> head = {};
  std::vector<std::vector<Value>> rows = {};  // each as wide as `head`
  size_t shownRows = 0;  // the rest is folded away where a format can; 0: all are shown
};

// Damage, or bits, over blocks × roles. Columns: tensors before the blocks, the blocks, the rest.
struct ReportHeatmap {
  struct Tile {
    size_t column = 0, row = 0;
    double value = 0;
    std::string label;  // "blk.3.ffn_down.weight at q4_0: 0.0031 ± 0.0002, 1.2 MB"
  };
  std::string heading = {}, note = {}, unit = {};
  std::vector<std::string> columns = {}, rows = {};
  std::vector<Tile> tiles = {};
  bool logarithmic = true;
};

struct ReportPoint {
  std::string name;
  double bytes = 0;
  double kld = 0;
  Interval interval;  // NaN where it is not known
  enum class Kind { Subject, Run, Rival } kind = Kind::Run;
};

struct Report {
  std::string title, subtitle;
  std::string verdict;  // one sentence, may be empty
  struct Figure {
    std::string label, value, detail;
  };
  std::vector<Figure> figures;  // the few that matter most
  std::vector<ReportTable> tables;
  std::vector<ReportHeatmap> heatmaps;
  std::vector<ReportPoint> points;  // size × KLD, all on one text
  std::string pointsNote;
  std::vector<Figure> provenance;
};

struct ReportRequest {
  std::vector<Run> runs;  // of one model; the first with a proof is the subject
  std::optional<Sensitivity> cells;
  const Model* model =
      nullptr;  // the runs' model if it is at hand: adds the plan, tensor by tensor
};

// InvalidArgument when there is no run, when the runs are of several models or `model` is another.
Result<Report> buildReport(const ReportRequest& request);

std::string toHtml(const Report& report);
std::string toMarkdown(const Report& report);
// The file's ending decides: .html, .htm or .md. Never a half-written file under that name.
Result<void> saveReport(const Report& report, const std::filesystem::path& path);

// The runs of a report that names none: those of the newest run's model (or of `fingerprint`), the
// newest proof first; and the newest scan's cells. NotFound when there is no run.
Result<ReportRequest> reportRequest(const ExperimentStore& store, const std::string& fingerprint,
                                    const std::vector<int64_t>& ids = {});

}  // namespace bitloom
