// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/proof.h"

#include <cmath>

namespace bitloom::cli {
namespace {

std::string range(const Interval& interval, int digits) {
  return strCat(significant(interval.low, digits), " … ", significant(interval.high, digits));
}

std::string percentRange(const Interval& interval) {
  return strCat(fixed(100 * interval.low, 2), " … ", fixed(100 * interval.high, 2));
}

Json figureJson(const PairedFigure& figure, const char* key) {
  return {{key, figure.value},
          {"low", figure.interval.low},
          {"high", figure.interval.high},
          {"tie", figure.tie}};
}

Json strataJson(const std::vector<StratumResult>& mine, const std::vector<StratumResult>& rivals) {
  Json rows = Json::array();
  for (size_t i = 0; i < mine.size(); ++i) {
    Json row = {{"name", mine[i].name}};
    row.update(cli::toJson(mine[i].evaluation));
    row.erase("seconds");
    if (!rivals.empty()) {
      row["paired"] = cli::toJson(comparePaired(mine[i].evaluation, rivals[i].evaluation));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string evaluationText(const Evaluation& e) {
  std::string out = strCat("perplexity  ", fixed(e.perplexity, 4), " ± ",
                           fixed(e.perplexityError, 4), "  (", e.tokens, " tokens scored in ",
                           e.windows, " windows; 95 %: ", range(e.perplexityInterval, 5), ")\n");
  if (!e.hasReference) return out;
  out += strCat("mean KLD    ", significant(e.kld.mean, 4), " ± ", significant(e.kld.error, 2),
                "  (95 %: ", range(e.kldInterval, 4), ")\n99 %        ", significant(e.kldP99, 4),
                "\n99.9 %      ", significant(e.kldP999, 4), "\nmax         ",
                significant(e.kldMax, 4), "\nsame top    ", fixed(100 * e.sameTop.mean, 2), " ± ",
                fixed(100 * e.sameTop.error, 2), " %  (95 %: ", percentRange(e.sameTopInterval),
                ")\n");
  if (e.tiedTops > 0) {
    out += strCat("            at ", e.tiedTops,
                  " tokens the reference has two equal top tokens; either counts as the same\n");
  }
  return out;
}

std::string strataText(const std::vector<StratumResult>& results) {
  const bool divergence = results.front().evaluation.hasReference;
  std::vector<std::vector<std::string>> rows = {{"text", "windows", "perplexity", "95 %"}};
  if (divergence) {
    rows[0] = {"text", "windows", "perplexity", "mean KLD", "95 %", "99.9 %", "same top"};
  }
  for (const StratumResult& result : results) {
    const Evaluation& e = result.evaluation;
    std::vector<std::string> row = {result.name, std::to_string(e.windows), fixed(e.perplexity, 3)};
    if (divergence) {
      row.insert(row.end(), {significant(e.kld.mean, 4), range(e.kldInterval, 3),
                             significant(e.kldP999, 3), fixed(100 * e.sameTop.mean, 2) + " %"});
    } else {
      row.push_back(range(e.perplexityInterval, 4));
    }
    rows.push_back(std::move(row));
  }
  std::string out = "\n" + table(rows);
  if (const auto worst = worstStratum(results)) {
    out += strCat("worst: ", results[worst->index].name,
                  worst->tied ? ", though another is as bad within the noise\n" : "\n");
  }
  return out;
}

std::string figureLine(const char* label, const PairedFigure& figure, const std::string& shown) {
  return strCat(label, shown, figure.tie ? "  a tie inside the noise\n" : "\n");
}

std::string rivalText(const Proof& proof) {
  const Evaluation& e = *proof.rival;
  const PairedComparison paired = comparePaired(proof.evaluation, e);
  std::string out =
      strCat("\nagainst ", proof.rivalName, ", on the same windows (95 % intervals, paired)\n");
  if (e.hasReference) {
    out += figureLine(
        "KLD         ", paired.kldDifference,
        strCat(significant(proof.evaluation.kld.mean, 4), " − ", significant(e.kld.mean, 4), " = ",
               significant(paired.kldDifference.value, 3), "  (",
               range(paired.kldDifference.interval, 3), "), ",
               significant(paired.kldRatio.value, 3), " ×  (", range(paired.kldRatio.interval, 3),
               ")"));
    out += figureLine("same top    ", paired.sameTopDifference,
                      strCat(fixed(100 * paired.sameTopDifference.value, 2), " points  (",
                             percentRange(paired.sameTopDifference.interval), ")"));
  }
  out += figureLine("perplexity  ", paired.perplexityRatio,
                    strCat(fixed(proof.evaluation.perplexity, 4), " against ",
                           fixed(e.perplexity, 4), ", ", fixed(paired.perplexityRatio.value, 4),
                           " ×  (", fixed(paired.perplexityRatio.interval.low, 4), " … ",
                           fixed(paired.perplexityRatio.interval.high, 4), ")"));
  return out;
}

}  // namespace

Result<std::vector<NamedText>> openTexts(const std::vector<std::string>& arguments, bool books) {
  if (books) return builtinStrata();
  std::vector<NamedText> texts;
  if (arguments.empty()) {
    TRY(Text text, openText("", BuiltinText::Evaluation));
    texts.push_back({text.name, std::move(text.bytes)});
  }
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    std::error_code ignored;
    // A file whose name has an equals sign is a file all the same.
    const bool named =
        equals != std::string::npos && equals > 0 && !std::filesystem::exists(argument, ignored);
    TRY(Text text,
        openText(named ? argument.substr(equals + 1) : argument, BuiltinText::Evaluation));
    texts.push_back({named ? argument.substr(0, equals) : text.name, std::move(text.bytes)});
  }
  return texts;
}

Result<Rival> openRival(const std::string& argument, const Engine& engine,
                        const Arithmetic& arithmetic) {
  Rival rival;
  Recipe recipe;
  const Codec* codec = findCodec(toLower(argument));
  const bool file = argument.ends_with(".json");
  if (codec == nullptr && !file) {
    TRY(rival.engine, openEngine(argument, false, arithmetic));
    rival.name = rival.engine->model->path().filename().string();
    rival.variant = rival.engine->variant->copy();
    rival.bytes = rival.engine->model->fileBytes();
    return rival;
  }
  if (file) {
    TRY(recipe, loadRecipe(argument));
    rival.name =
        recipe.name.empty() ? std::filesystem::path(argument).filename().string() : recipe.name;
  } else {
    recipe = uniformRecipe(*codec);
    rival.name = strCat("uniform ", codec->title);
  }
  TRY(auto plan, resolve(recipe, *engine.model));
  TRY(rival.variant, variantOf(engine, recipe));
  rival.bytes = plan.fileBytes;
  rival.bitsPerWeight = plan.bitsPerWeight;
  return rival;
}

Json toJson(const PairedComparison& paired) {
  Json kld = figureJson(paired.kldDifference, "difference");
  kld["ratio"] = paired.kldRatio.value;
  kld["ratio_low"] = paired.kldRatio.interval.low;
  kld["ratio_high"] = paired.kldRatio.interval.high;
  return {{"kld", kld},
          {"perplexity", figureJson(paired.perplexityRatio, "ratio")},
          {"same_top", figureJson(paired.sameTopDifference, "difference")}};
}

Json toJson(const Proof& proof) {
  Json result = toJson(proof.evaluation);
  const auto mine = byStratum(proof.evaluation, proof.strata);
  std::vector<StratumResult> rivals;
  if (proof.rival) {
    rivals = byStratum(*proof.rival, proof.strata);
    result["against"] = toJson(*proof.rival);
    result["against"]["name"] = proof.rivalName;
    result["paired"] = toJson(comparePaired(proof.evaluation, *proof.rival));
    if (!proof.rival->hasReference) {
      for (const char* key : {"kld", "same_top"}) result["paired"].erase(key);
    }
  }
  if (mine.size() > 1) {
    result["strata"] = strataJson(mine, rivals);
    if (const auto worst = worstStratum(mine)) {
      result["worst_stratum"] = {{"name", mine[worst->index].name}, {"tie", worst->tied}};
    }
  }
  if (!proof.overlaps.empty()) result["calibration_overlap"] = proof.overlaps;
  return result;
}

std::string proofText(const Proof& proof) {
  std::string out = evaluationText(proof.evaluation);
  if (proof.strata.size() > 1) out += strataText(byStratum(proof.evaluation, proof.strata));
  if (proof.rival) out += rivalText(proof);
  if (!proof.overlaps.empty()) out += "\n";
  for (const std::string& sentence : proof.overlaps) out += sentence + "\n";
  return out;
}

std::string tokenTable(const Proof& proof) {
  const auto scores = [](std::ostream& out, const Evaluation& e, size_t token) {
    out << ',' << e.tokenNll[token] << ',';
    if (!e.hasReference) {
      out << ',';
      return;
    }
    out << e.tokenKld[token] << ',' << (e.tokenSame[token] & 1);
  };
  std::ostringstream out;
  out.precision(9);
  out << "text,window,token,nll,kld,same_top" << (proof.rival ? ",nll_2,kld_2,same_top_2" : "")
      << "\n";
  const size_t perWindow = proof.evaluation.tokens / proof.evaluation.windows;
  for (size_t s = 0; s < proof.strata.size(); ++s) {
    const Stratum& stratum = proof.strata[s];
    for (size_t i = 0; i < stratum.windows * perWindow; ++i) {
      const size_t token = stratum.firstWindow * perWindow + i;
      out << s << ',' << token / perWindow << ',' << token % perWindow;
      scores(out, proof.evaluation, token);
      if (proof.rival) scores(out, *proof.rival, token);
      out << "\n";
    }
  }
  return out.str();
}

}  // namespace bitloom::cli
