// SPDX-License-Identifier: GPL-3.0-or-later
// eval as a judge: intervals, strata, rivals on the same windows, questions, overlap.
#include <cmath>

#include "tests/support/process.h"

namespace bitloom {
namespace {

using test::Cli;
using test::Finished;

const std::vector<std::string> kShort = {"--ctx", "128", "--chunks", "3", "--json"};

std::vector<std::string> evalOf(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"eval", "builtin"});
  arguments.insert(arguments.end(), kShort.begin(), kShort.end());
  return arguments;
}

TEST(Proof, StrataHaveFiguresOfTheirOwnAndTheWorstIsNamed) {
  Cli cli;
  const std::string text = test::readFile(test::sourcePath("resources/texts/evaluation.txt"));
  test::writeFile(cli.path("a.txt"), text.substr(0, 6000));
  test::writeFile(cli.path("b=c.txt"), text.substr(100000, 6000));
  const auto run = cli.run(evalOf(
      {"--codec", "q4_0", "--text", "prose=" + cli.path("a.txt"), "--text", cli.path("b=c.txt")}));
  ASSERT_EQ(run.exit, 0) << run.err;
  const auto json = run.json();
  ASSERT_EQ(json["strata"].size(), 2U);
  EXPECT_EQ(json["strata"][0]["name"], "prose");
  EXPECT_EQ(json["strata"][1]["name"], "b=c.txt");  // a file, whatever its name looks like
  const double first = json["strata"][0]["kld"]["mean"];
  const double second = json["strata"][1]["kld"]["mean"];
  EXPECT_NEAR(json["kld"]["mean"].get<double>(), (first + second) / 2, 1e-9);  // 3 windows each
  EXPECT_EQ(json["worst_stratum"]["name"], first > second ? "prose" : "b=c.txt");
  EXPECT_LT(json["kld"]["low"].get<double>(), json["kld"]["mean"].get<double>());
  EXPECT_GT(json["perplexity"]["high"].get<double>(), json["perplexity"]["mean"].get<double>());

  const auto alone = cli.run(evalOf({"--codec", "q4_0", "--text", cli.path("a.txt")})).json();
  EXPECT_EQ(alone["kld"]["mean"].get<double>(), first);
  EXPECT_FALSE(alone.contains("strata"));
}

TEST(Proof, ARivalIsMeasuredOnTheSameWindowsAndPaired) {
  Cli cli;
  ASSERT_EQ(cli.run({"plan", "builtin", "--codec", "q8_0", "-o", cli.path("q8.json")}).exit, 0);
  ASSERT_EQ(cli.run({"quantize", "builtin", "--codec", "q8_0", "-o", cli.path("q8.gguf")}).exit, 0);
  const auto codec = cli.run(evalOf({"--codec", "q4_0", "--against", "q8_0"})).json();
  const auto recipe = cli.run(evalOf({"--codec", "q4_0", "--against", cli.path("q8.json")})).json();
  const auto file = cli.run(evalOf({"--codec", "q4_0", "--against", cli.path("q8.gguf")})).json();
  const auto alone = cli.run(evalOf({"--codec", "q8_0"})).json();
  for (const auto& json : {codec, recipe}) {
    EXPECT_EQ(json["against"]["kld"], alone["kld"]);
    EXPECT_NEAR(json["paired"]["kld"]["difference"].get<double>(),
                json["kld"]["mean"].get<double>() - alone["kld"]["mean"].get<double>(), 1e-12);
    EXPECT_FALSE(json["paired"]["kld"]["tie"].get<bool>());
    EXPECT_GT(json["paired"]["kld"]["ratio"].get<double>(), 20);
    EXPECT_LT(json["paired"]["same_top"]["difference"].get<double>(), 0);
  }
  EXPECT_NEAR(file["against"]["kld"]["mean"].get<double>(), alone["kld"]["mean"].get<double>(),
              1e-3 * alone["kld"]["mean"].get<double>());
  EXPECT_EQ(file["against"]["bytes"], std::filesystem::file_size(cli.path("q8.gguf")));

  const auto twin = cli.run(evalOf({"--codec", "q4_0", "--against", "q4_0"})).json();
  EXPECT_TRUE(twin["paired"]["kld"]["tie"].get<bool>());
  EXPECT_EQ(twin["paired"]["perplexity"]["ratio"], 1);
  const auto missing = cli.run(evalOf({"--against", "/no/such.gguf"}));
  EXPECT_EQ(missing.exit, 1);
  EXPECT_TRUE(test::isOneSentence(missing.err)) << missing.err;
}

TEST(Proof, QuestionsAreAnsweredBesideTheReference) {
  Cli cli;
  test::writeFile(cli.path("q.jsonl"),
                  R"({"context": "Once upon a", "choices": ["time", "xylophone"], "answer": 0}
{"goal": "Open the door", "sol1": "qzx qzx", "sol2": "turn the handle", "label": 1})");
  const auto run =
      cli.run({"eval", "builtin", "--codec", "tq3_1s", "--tasks", cli.path("q.jsonl"), "--json"});
  ASSERT_EQ(run.exit, 0) << run.err;
  const auto json = run.json();
  EXPECT_FALSE(json.contains("perplexity"));  // no text was asked for
  ASSERT_EQ(json["tasks"].size(), 1U);
  EXPECT_EQ(json["tasks"][0]["items"], 2);
  EXPECT_EQ(json["tasks"][0]["acc"]["share"], 1);
  EXPECT_EQ(json["tasks"][0]["compared"][0]["name"], "reference");
  EXPECT_EQ(json["tasks"][0]["compared"][0]["paired_acc"]["lost"], 0);
  const auto runs = cli.run({"runs", "list", "--json"}).json();
  EXPECT_EQ(runs["runs"][0]["result"]["tasks"], json["tasks"]);

  test::writeFile(cli.path("cut.jsonl"), R"({"context": "Once upon a", "choi)");
  const auto cut = cli.run({"eval", "builtin", "--tasks", cli.path("cut.jsonl")});
  EXPECT_EQ(cut.exit, 1);
  EXPECT_EQ(cut.out, "");
  EXPECT_TRUE(test::isOneSentence(cut.err)) << cut.err;
  EXPECT_NE(cut.err.find("cut.jsonl line 1"), std::string::npos) << cut.err;
}

TEST(Proof, OverlapWithTheCalibrationTextIsTold) {
  Cli cli;
  const std::string text = test::readFile(test::sourcePath("resources/texts/evaluation.txt"));
  test::writeFile(cli.path("seen.txt"), text.substr(3000, 20000));
  const auto seen = cli.run(evalOf({"--calibration-text", cli.path("seen.txt")})).json();
  const std::string sentence = seen["calibration_overlap"][0];
  EXPECT_NE(sentence.find("occur in seen.txt"), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("9.8 %"), std::string::npos) << sentence;  // 20 kB of 201 kB
}

TEST(Proof, TokensAreWrittenAsATable) {
  Cli cli;
  const auto run = cli.run(evalOf({"--codec", "q4_0", "--tokens-to", cli.path("t.csv")}));
  ASSERT_EQ(run.exit, 0) << run.err;
  std::istringstream rows(test::readFile(cli.path("t.csv")));
  std::string line;
  std::getline(rows, line);
  EXPECT_EQ(line, "text,window,token,nll,kld,same_top");
  double kld = 0;
  int count = 0;
  while (std::getline(rows, line)) {
    ++count;
    std::vector<std::string> fields;
    std::istringstream parts(line);
    for (std::string field; std::getline(parts, field, ',');) fields.push_back(field);
    ASSERT_EQ(fields.size(), 6U) << line;
    kld += std::stod(fields[4]);
  }
  EXPECT_EQ(count, 3 * 63);
  EXPECT_NEAR(kld / count, run.json()["kld"]["mean"].get<double>(), 1e-7);
}

}  // namespace
}  // namespace bitloom
