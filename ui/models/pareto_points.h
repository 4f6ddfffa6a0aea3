// SPDX-License-Identifier: GPL-3.0-or-later
// The points of the size × damage chart, computed by core from one snapshot of the document, on a
// job's thread: solved plans along the sizes, uniform codecs, saved plans.
#pragma once
#include <QMetaType>
#include <QString>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/sensitivity.h"
#include "ui/models/damage_words.h"

namespace bitloom {

class Document;

struct ParetoPoint {
  uint64_t fileBytes = 0;
  double damage = 0;
  double error = 0;
};

struct ParetoPoints {
  std::vector<ParetoPoint> curve;     // solved around the pins, by size
  std::vector<DamageAnchor> uniform;  // without pins, by size
  std::vector<DamageAnchor> saved;    // plans of the store
};

// Everything the computation reads, copied, so that the document may move on.
struct ParetoInput {
  std::shared_ptr<const Model> model;
  Graph graph;
  Sensitivity cells;
  std::vector<const Codec*> ladder;
  std::map<std::string, std::string> pins;
  std::string profile;
  std::vector<std::pair<QString, std::string>> saved;  // title, recipe as JSON

  static ParetoInput of(Document& document);
};

Result<ParetoPoints> paretoPoints(const ParetoInput& input, JobContext& job);

}  // namespace bitloom
