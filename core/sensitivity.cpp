// SPDX-License-Identifier: GPL-3.0-or-later
// JSON form: one object; a standard error that does not exist (one sequence) is null.
#include "core/sensitivity.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/strings.h"
#include "core/io/whole_file.h"

namespace bitloom {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "bitloom-sensitivity/1";

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double numberOrNan(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Cell parseCell(const Json& json) {
  Cell cell;
  cell.tensor = json.at("tensor").get<std::string>();
  cell.codec = json.at("codec").get<std::string>();
  cell.metric = json.at("metric").get<std::string>();
  cell.value = numberOrNan(json.at("value"));
  cell.error = numberOrNan(json.at("error"));
  cell.bytes = json.at("bytes").get<uint64_t>();
  if (json.contains("samples")) cell.samples = json.at("samples").get<std::vector<float>>();
  return cell;
}

Sensitivity parse(const Json& json) {
  Sensitivity result;
  result.metric = json.at("metric").get<std::string>();
  result.method = json.value("method", "nearest");
  result.fingerprint = json.at("fingerprint").get<std::string>();
  result.text = json.value("text", "");
  result.textHash = json.value("text_hash", "");
  result.tokens = json.value("tokens", uint64_t{0});
  for (const Json& cell : json.at("cells")) {
    try {
      result.cells.push_back(parseCell(cell));
    } catch (const nlohmann::json::exception& error) {
      throw std::runtime_error(strCat("cell ", result.cells.size(), ": ", error.what()));
    }
  }
  if (!json.contains("plans")) return result;
  for (const Json& plan : json.at("plans")) {
    result.plans.push_back({plan.at("predicted").get<double>(), plan.at("measured").get<double>(),
                            plan.value("spread", 1.0)});
  }
  return result;
}

}  // namespace

const Cell* Sensitivity::find(std::string_view tensor, std::string_view codec) const {
  for (const Cell& cell : cells) {
    if (cell.tensor == tensor && cell.codec == codec) return &cell;
  }
  return nullptr;
}

std::string toJson(const Sensitivity& sensitivity) {
  Json json;
  json["format"] = kFormat;
  json["metric"] = validUtf8(sensitivity.metric);
  json["method"] = validUtf8(sensitivity.method);
  json["fingerprint"] = validUtf8(sensitivity.fingerprint);
  json["text"] = validUtf8(sensitivity.text);
  json["text_hash"] = validUtf8(sensitivity.textHash);
  json["tokens"] = sensitivity.tokens;
  json["cells"] = Json::array();
  for (const Cell& cell : sensitivity.cells) {
    json["cells"].push_back({{"tensor", validUtf8(cell.tensor)},
                             {"codec", validUtf8(cell.codec)},
                             {"metric", validUtf8(cell.metric)},
                             {"value", number(cell.value)},
                             {"error", number(cell.error)},
                             {"bytes", cell.bytes}});
    if (!cell.samples.empty()) json["cells"].back()["samples"] = cell.samples;
  }
  for (const PredictedPlan& plan : sensitivity.plans) {
    json["plans"].push_back(
        {{"predicted", plan.predicted}, {"measured", plan.measured}, {"spread", plan.spread}});
  }
  return json.dump(1);
}

Result<Sensitivity> loadSensitivity(const std::filesystem::path& path) {
  TRY(const std::string text, readWholeFile(path));
  try {
    const Json json = Json::parse(text);
    if (!json.is_object() || json.value("format", "") != kFormat) {
      return makeError(ErrorCode::Unsupported, path.string(),
                       ": is not a sensitivity scan; its \"format\" should be \"", kFormat, "\".");
    }
    return parse(json);
  } catch (const std::exception& error) {
    return makeError(ErrorCode::Corrupt, path.string(), ": ", validUtf8(error.what()), ".");
  }
}

Result<void> saveSensitivity(const Sensitivity& sensitivity, const std::filesystem::path& path) {
  return writeWholeFile(path, toJson(sensitivity) + "\n");
}

}  // namespace bitloom
