// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/inputs.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/architecture.h"
#include "core/builtin.h"

namespace bitloom::cli {

Result<std::shared_ptr<const Model>> openModel(const std::string& argument) {
  TRY(auto path, resolveModelArgument(argument));
  return Model::open(path);
}

Result<Text> openText(const std::string& path, BuiltinText fallback) {
  std::filesystem::path file = path;
  if (path.empty()) {
    TRY(file,
        fallback == BuiltinText::Calibration ? builtinCalibrationText() : builtinEvaluationText());
  }
  TRY(auto bytes, readText(file));
  return Text{file.filename().string(), std::move(bytes)};
}

Result<const Codec*> parseCodec(const std::string& name) {
  if (const Codec* codec = findCodec(toLower(name))) return codec;
  std::string known;
  for (const Codec* codec : codecs())
    known += (known.empty() ? "" : ", ") + std::string(codec->name);
  return makeError(ErrorCode::InvalidArgument, "There is no codec \"", name, "\"; known are ",
                   known, ".");
}

Result<std::vector<const Codec*>> parseCodecs(const std::string& list) {
  std::vector<const Codec*> result;
  for (const std::string& name : split(list, ',')) {
    TRY(auto codec, parseCodec(name));
    result.push_back(codec);
  }
  return result;
}

Result<Recipe> openRecipe(const std::string& recipePath, const std::string& codec) {
  if (!recipePath.empty()) return loadRecipe(recipePath);
  if (codec.empty()) return Recipe{.name = "source"};
  TRY(auto parsed, parseCodec(codec));
  return uniformRecipe(*parsed);
}

Result<std::optional<Calibration>> openCalibration(const std::string& path) {
  if (path.empty()) return std::optional<Calibration>();
  TRY(auto calibration, loadCalibration(path));
  return std::optional<Calibration>(std::move(calibration));
}

std::vector<std::string> methodNames() {
  std::vector<std::string> names;
  for (const Method* method : methods()) names.emplace_back(method->name);
  return names;
}

Result<std::map<std::string, std::string>> parsePins(const std::vector<std::string>& pins) {
  std::map<std::string, std::string> result;
  for (const std::string& pin : pins) {
    const size_t equals = pin.rfind('=');
    if (equals == std::string::npos || equals == 0) {
      return makeError(ErrorCode::InvalidArgument, "--pin ", pin,
                       ": expected GLOB=codec, such as 'token_embd.weight=q8_0'.");
    }
    TRY(auto codec, parseCodec(pin.substr(equals + 1)));
    result[pin.substr(0, equals)] = codec->name;
  }
  return result;
}

Result<Engine> openEngine(const std::string& model, bool needsTokenizer,
                          const Arithmetic& arithmetic) {
  Engine engine;
  TRY(engine.model, openModel(model));
  engine.cache = std::make_unique<WeightCache>(0);
  TRY(auto variant, Variant::create(engine.model, *engine.cache));
  variant.setPrecision(arithmetic.precision);
  variant.setBackend(arithmetic.backend);
  engine.variant = std::move(variant);
  auto tokenizer = Tokenizer::create(engine.model->metadata());
  if (tokenizer) {
    engine.tokenizer = std::move(*tokenizer);
  } else if (needsTokenizer) {
    return makeError(tokenizer.error().code, engine.model->path().filename().string(), ": ",
                     tokenizer.error().message);
  }
  return engine;
}

Result<Variant> variantOf(const Engine& engine, const Recipe& recipe,
                          const Calibration* calibration) {
  TRY(auto plan, resolve(recipe, *engine.model));
  Variant variant = engine.variant->copy();
  variant.setPlan(plan, calibration);
  return variant;
}

std::string choiceName(const Choice& choice, const Model& model) {
  return choice.effective ? std::string(choice.effective->name)
                          : model.tensors()[choice.tensor].type;
}

Json toJson(const Plan& plan, const Model& model) {
  Json tensors = Json::array();
  for (const Choice& choice : plan.tensors) {
    const Tensor& tensor = model.tensors()[choice.tensor];
    tensors.push_back(
        {{"name", tensor.name},
         {"requested", choice.requested ? std::string(choice.requested->name) : tensor.type},
         {"effective", choiceName(choice, model)},
         {"method", choice.method ? std::string(choice.method->name) : "copy"},
         {"reason", choice.reason},
         {"pinned", choice.pinned},
         {"bytes", choice.bytes}});
  }
  return {{"bytes", plan.fileBytes},          {"bpw", plan.bitsPerWeight},
          {"tensor_bytes", plan.tensorBytes}, {"plan_hash", plan.hash},
          {"profile", plan.profile},          {"tensors", tensors}};
}

std::string planTable(const Plan& plan, const Model& model) {
  std::vector<std::vector<std::string>> rows = {
      {"tensor", "requested", "effective", "bytes", "why"}};
  for (const Choice& choice : plan.tensors) {
    const Tensor& tensor = model.tensors()[choice.tensor];
    rows.push_back({tensor.name,
                    choice.requested ? std::string(choice.requested->name) : tensor.type,
                    choiceName(choice, model), grouped(choice.bytes), choice.reason});
  }
  return table(rows) + "\nfile " + grouped(plan.fileBytes) + " bytes (" +
         decimalSize(plan.fileBytes) + ", " + binarySize(plan.fileBytes) + "), " +
         fixed(plan.bitsPerWeight, 3) + " bits per weight\n";
}

Json toJson(const Evaluation& evaluation) {
  Json result = {{"perplexity",
                  {{"mean", evaluation.perplexity},
                   {"error", evaluation.perplexityError},
                   {"low", evaluation.perplexityInterval.low},
                   {"high", evaluation.perplexityInterval.high}}},
                 {"tokens", evaluation.tokens},
                 {"windows", evaluation.windows},
                 {"seconds", evaluation.seconds}};
  if (evaluation.hasReference) {
    result["kld"] = {{"mean", evaluation.kld.mean},       {"error", evaluation.kld.error},
                     {"low", evaluation.kldInterval.low}, {"high", evaluation.kldInterval.high},
                     {"p99", evaluation.kldP99},          {"p99_9", evaluation.kldP999},
                     {"max", evaluation.kldMax}};
    result["same_top"] = {{"share", evaluation.sameTop.mean},
                          {"error", evaluation.sameTop.error},
                          {"low", evaluation.sameTopInterval.low},
                          {"high", evaluation.sameTopInterval.high},
                          {"ties", evaluation.tiedTops}};
  }
  return result;
}

namespace {

size_t shownWidth(const std::string& text) {  // code points, not bytes
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool looksNumeric(const std::string& text) {
  return !text.empty() && (std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-');
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], shownWidth(row[c]));
  }
  std::string out;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t c = 0; c < rows[r].size(); ++c) {
      const std::string& cell = rows[r][c];
      const std::string pad(widths[c] - shownWidth(cell), ' ');
      const bool right = c > 0 && rows.size() > 1 && looksNumeric(rows[r == 0 ? 1 : r][c]);
      line += (c ? "  " : "") + (right ? pad + cell : cell + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string significant(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

Result<void> writeWhole(const std::string& path, const void* data, size_t bytes) {
  const std::string part = path + ".part";
  std::FILE* file = std::fopen(part.c_str(), "wb");
  if (file == nullptr) {
    return makeError(ErrorCode::Io, path, ": cannot be written (", std::strerror(errno), ").");
  }
  const bool written = std::fwrite(data, 1, bytes, file) == bytes;
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(part.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    std::remove(part.c_str());
    return makeError(ErrorCode::Io, path, ": cannot be written (", std::strerror(reason), ").");
  }
  return {};
}

}  // namespace bitloom::cli
