// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/tokenizer.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <rapidcheck.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "core/base/strings.h"
#include "tests/support/gguf_metadata.h"
#include "tests/support/paths.h"

namespace bitloom {
namespace {

using nlohmann::json;
using test::readFile;
using test::sharedPath;

const std::string kSmolLm = "models/SmolLM2-135M-Instruct.Q4_1.gguf";
const std::string kStory = "models/bitloom-story-11m-f16.gguf";
const std::string kStories = "models/stories260K-f32.gguf";
const std::string kGpt2 = "tokenizers/ggml-vocab-gpt-2.gguf";
const std::string kSpm = "tokenizers/ggml-vocab-llama-spm.gguf";

Tokenizer load(const std::string& relative) {
  auto made = Tokenizer::create(test::GgufKeys::read(sharedPath(relative)));
  if (!made) throw std::runtime_error(made.error().message);
  return std::move(made).value();
}

// A busy machine does not make it larger, other than time on the clock.
double processorSeconds() { return double(std::clock()) / CLOCKS_PER_SEC; }

std::string fromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(char(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// A vocabulary of all single bytes (as byte-level BPE writes them), then `more` and their merges.
Metadata tinyBpe(const std::vector<std::string>& more, const std::vector<std::string>& merges) {
  std::vector<std::string> tokens;
  for (char c = '!'; c <= '~'; ++c) tokens.push_back(std::string(1, c));
  tokens.push_back("\xc4\xa0");  // the space
  tokens.insert(tokens.end(), more.begin(), more.end());
  Metadata metadata;
  metadata.set("tokenizer.ggml.model", MetaValue::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", MetaValue::string("gpt-2"));
  metadata.set("tokenizer.ggml.tokens", MetaValue::stringArray(tokens));
  metadata.set("tokenizer.ggml.merges", MetaValue::stringArray(merges));
  return metadata;
}

MetaValue int32Array(const std::vector<int32_t>& values) {
  MetaArray array;
  array.type = MetaType::I32;
  array.numbers.resize(values.size() * 4);
  std::memcpy(array.numbers.data(), values.data(), array.numbers.size());
  return {MetaType::Array, array};
}

MetaValue floatArray(const std::vector<float>& values) {
  MetaArray array;
  array.type = MetaType::F32;
  array.numbers.resize(values.size() * 4);
  std::memcpy(array.numbers.data(), values.data(), array.numbers.size());
  return {MetaType::Array, array};
}

std::string refusal(const Metadata& metadata, ErrorCode code) {
  const auto made = Tokenizer::create(metadata);
  if (made) return "accepted";
  EXPECT_EQ(int(made.error().code), int(code)) << made.error().message;
  return made.error().message;
}

TEST(Tokenizer, EveryGoldenStringGivesTheSameIdsInEveryVocabulary) {
  NEEDS_SHARED("golden/tokenizers/table.json");
  NEEDS_SHARED(kSmolLm);
  const json table = json::parse(readFile(sharedPath("golden/tokenizers/table.json")));
  const std::vector<std::pair<std::string, std::string>> vocabularies = {
      {"smollm2", kSmolLm}, {"gpt2", kGpt2}, {"llama_spm", kSpm}};
  ASSERT_EQ(table["cases"].size(), 80u);
  for (const auto& [name, file] : vocabularies) {
    const Tokenizer tokenizer = load(file);
    for (const json& entry : table["cases"]) {
      const std::string text = fromHex(entry["utf8_hex"]);
      const std::vector<TokenId> plain = entry[name];
      EXPECT_EQ(tokenizer.encode(text), plain) << name << ": " << entry["text"];
      const std::vector<TokenId> special = entry.value(name + "_special", plain);
      EXPECT_EQ(tokenizer.encode(text, true), special) << name << ", special: " << entry["text"];
      // SPM cannot tell a space from U+2581, and SmolLM2 has no token for some control bytes.
      const bool comesBack = name == "llama_spm" ? text.find("\u2581") == std::string::npos
                                                 : name == "gpt2" || entry["smollm2_round_trip"];
      EXPECT_EQ(tokenizer.decode(plain) == text, comesBack) << name << ": " << entry["text"];
      EXPECT_EQ(tokenizer.decode(special, true) == text, comesBack) << name << entry["text"];
    }
  }
}

TEST(Tokenizer, ReproducesTheTestPairsOfTheVocabularies) {
  NEEDS_SHARED(kGpt2);
  for (const std::string& file : {kGpt2, kSpm}) {
    const Tokenizer tokenizer = load(file);
    const std::string input = readFile(sharedPath(file + ".inp"));
    const std::vector<std::string> lines = split(readFile(sharedPath(file + ".out")), '\n');
    const std::string mark = "\n__ggml_vocab_test__\n";
    size_t begin = 0, index = 0;
    for (size_t end = 0; end != std::string::npos && begin < input.size(); ++index) {
      end = input.find(mark, begin);
      std::vector<TokenId> expected;
      std::istringstream line(lines.at(index));
      for (TokenId id; line >> id;) expected.push_back(id);
      EXPECT_EQ(tokenizer.encode(input.substr(begin, end - begin)), expected) << file << index;
      begin = end + mark.size();
    }
    EXPECT_EQ(index, 46u);
  }
}

TEST(Tokenizer, WikitextWholeGivesTheReferenceIdsQuickly) {
  NEEDS_SHARED("golden/smollm2/expected.json");
  NEEDS_SHARED(kSmolLm);
  const json expected = json::parse(readFile(sharedPath("golden/smollm2/expected.json")));
  const Tokenizer tokenizer = load(kSmolLm);
  const std::string text = readFile(sharedPath("data/wikitext2-test.txt"));
  const double begin = processorSeconds();
  const std::vector<TokenId> ids = tokenizer.encode(text);
  const double seconds = processorSeconds() - begin;
  EXPECT_EQ(ids.size(), 309187u);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(ids.data()), ids.size() * 4, digest);
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  EXPECT_EQ(hex, expected["wikitext2"]["as_bytes"]["token_ids_sha256_i32le_all"]);
  RecordProperty("seconds", std::to_string(seconds));
  EXPECT_LT(seconds, 3);
}

TEST(Tokenizer, SpmIsQuickOnALongText) {
  NEEDS_SHARED(kSpm);
  const Tokenizer tokenizer = load(kSpm);
  const std::string text = readFile(sharedPath("data/wikitext2-test.txt"));
  const double begin = processorSeconds();
  const std::vector<TokenId> ids = tokenizer.encode(text);
  const double seconds = processorSeconds() - begin;
  EXPECT_EQ(tokenizer.decode(ids), text);
  EXPECT_LT(seconds, 3);
}

TEST(Tokenizer, TheStoryModelsPassageAndGreedyPromptAreReproduced) {
  NEEDS_SHARED(kStory);
  const json expected = json::parse(readFile(sharedPath("golden/story/expected.json")));
  const Tokenizer tokenizer = load(kStory);
  const std::vector<TokenId> passage = expected["passage"]["token_ids"];
  EXPECT_EQ(tokenizer.encode(expected["passage"]["text"].get<std::string>()), passage);
  EXPECT_EQ(tokenizer.decode(passage), expected["passage"]["text"]);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_TRUE(tokenizer.endsTurn(2));
  EXPECT_TRUE(tokenizer.endsTurn(0));   // <|endoftext|>
  EXPECT_FALSE(tokenizer.endsTurn(1));  // <|im_start|>
  EXPECT_FALSE(tokenizer.addsBos());
  EXPECT_EQ(tokenizer.find("<|im_end|>"), 2);
  EXPECT_TRUE(tokenizer.warnings().empty());
  EXPECT_EQ(tokenizer.model(), "gpt2");
  EXPECT_EQ(tokenizer.preTokenizer(), "gpt-2");
}

TEST(Tokenizer, SpmPutsBosInFrontOnceAndDecodesWithoutTheSpaceItAdds) {
  NEEDS_SHARED(kStories);
  const Tokenizer tokenizer = load(kStories);
  EXPECT_TRUE(tokenizer.addsBos());
  const std::vector<TokenId> ids = tokenizer.encodeWithBos("Once upon a time");
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(tokenizer.encodeWithBos("<s>Once upon a time"), ids);
  EXPECT_EQ(tokenizer.decode(ids), "Once upon a time");
  EXPECT_EQ(tokenizer.decode(ids, true), "<s>Once upon a time");
  EXPECT_EQ(tokenizer.piece(ids[1]).substr(0, 1), " ");
}

TEST(Tokenizer, BytesThatAreNotTextSurviveInBothKinds) {
  NEEDS_SHARED(kGpt2);
  for (const std::string& file : {kGpt2, kSpm, kStories}) {
    const Tokenizer tokenizer = load(file);
    for (const std::string text : {"\xff", "a\xc3", "\xe2\x96", "ok \xf0\x9f\x98 then \x80\x80",
                                   "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf"}) {
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << file;
    }
    EXPECT_TRUE(rc::check("any bytes come back", [&](const std::string& text) {
      RC_ASSERT(tokenizer.decode(tokenizer.encode(text)) == text);
    }));
  }
}

TEST(Tokenizer, StreamingNeverSplitsACharacterAndAddsUpToTheWhole) {
  NEEDS_SHARED(kStories);
  const std::string text = "Zoë saw 👩‍🚀 and 你好 — “quoted” ünïcödé.";
  for (const std::string& file : {kStories, kSpm, kGpt2}) {
    const Tokenizer tokenizer = load(file);
    StreamingDetokenizer stream(tokenizer);
    std::string shown;
    for (const TokenId id : tokenizer.encodeWithBos(text)) {
      const std::string part = stream.push(id);
      EXPECT_EQ(validUtf8(part), part);
      shown += part;
    }
    EXPECT_EQ(shown + stream.finish(), text) << file;
  }
}

TEST(Tokenizer, StreamingShowsBrokenBytesAsReplacementCharacters) {
  NEEDS_SHARED(kSpm);
  const Tokenizer tokenizer = load(kSpm);
  const auto byte = [&](const char* text) { return tokenizer.find(text).value(); };
  StreamingDetokenizer stream(tokenizer);
  EXPECT_EQ(stream.push(byte("<0xF0>")), "");
  EXPECT_EQ(stream.push(byte("<0x9F>")), "");
  EXPECT_EQ(stream.push(byte("<0x41>")),
            "\xef\xbf\xbd\xef\xbf\xbd"
            "A");
  EXPECT_EQ(stream.push(byte("<0xE4>")), "");
  EXPECT_EQ(stream.finish(), "\xef\xbf\xbd");
  EXPECT_EQ(stream.push(byte("<0xFF>")), "\xef\xbf\xbd");
  EXPECT_EQ(stream.push(byte("<0x80>")), "\xef\xbf\xbd");
  // The start of a surrogate can become no character.
  EXPECT_EQ(stream.push(byte("<0xED>")), "");
  EXPECT_EQ(stream.push(byte("<0xA0>")), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Tokenizer, AModelWithoutTokenizerIsNotFound) {
  EXPECT_EQ(refusal({}, ErrorCode::NotFound),
            "The model holds no tokenizer (tokenizer.ggml.tokens is absent).");
}

TEST(Tokenizer, HostileMetadataIsRefusedWithTheKeysName) {
  const auto expectNamed = [](Metadata metadata, const std::string& key, MetaValue value) {
    metadata.set(key, std::move(value));
    const std::string message = refusal(metadata, ErrorCode::Corrupt);
    EXPECT_NE(message.find(key), std::string::npos) << message;
  };
  const Metadata good = tinyBpe({"ab"}, {"a b"});
  ASSERT_TRUE(Tokenizer::create(good));
  const std::string merges = "tokenizer.ggml.merges";
  expectNamed(good, merges, MetaValue::stringArray({"a b", "a zz"}));
  expectNamed(good, merges, MetaValue::stringArray({"zz a"}));
  expectNamed(good, merges, MetaValue::stringArray({"b a"}));
  for (const char* text : {"", " ", "ab", "a ", "\xff\xff"}) {
    expectNamed(good, merges, MetaValue::stringArray({text}));
  }
  expectNamed(good, merges, MetaValue::string("a b"));
  expectNamed(good, "tokenizer.ggml.tokens", MetaValue::string("a"));
  expectNamed(good, "tokenizer.ggml.tokens", MetaValue::stringArray({}));
  expectNamed(good, "tokenizer.ggml.token_type", int32Array({1, 1}));
  expectNamed(good, "tokenizer.ggml.bos_token_id", MetaValue::u32(96));
  expectNamed(good, "tokenizer.ggml.eos_token_id", MetaValue::u32(4000000000u));
  expectNamed(good, "tokenizer.ggml.eot_token_id", MetaValue::string("2"));
  expectNamed(good, "tokenizer.ggml.model", MetaValue::u32(1));

  Metadata spm = good;
  spm.set("tokenizer.ggml.model", MetaValue::string("llama"));
  EXPECT_NE(refusal(spm, ErrorCode::Corrupt).find("tokenizer.ggml.scores"), std::string::npos);
  expectNamed(spm, "tokenizer.ggml.scores", floatArray({1, 2, 3}));
  expectNamed(spm, "tokenizer.ggml.scores", floatArray(std::vector<float>(96, NAN)));

  Metadata other = good;
  other.set("tokenizer.ggml.model", MetaValue::string("bert"));
  EXPECT_NE(refusal(other, ErrorCode::Unsupported).find("\"bert\""), std::string::npos);
}

TEST(Tokenizer, AnUnknownOrMissingPreTokenizerIsUsedAsDefaultWithAWarning) {
  Metadata metadata = tinyBpe({}, {});
  metadata.set("tokenizer.ggml.pre", MetaValue::string("martian"));
  auto tokenizer = Tokenizer::create(metadata);
  ASSERT_TRUE(tokenizer);
  ASSERT_EQ(tokenizer->warnings().size(), 1u);
  EXPECT_NE(tokenizer->warnings()[0].find("\"martian\""), std::string::npos);
  EXPECT_EQ(tokenizer->preTokenizer(), "martian");
  metadata.erase("tokenizer.ggml.pre");
  tokenizer = Tokenizer::create(metadata);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->warnings().size(), 1u);
  metadata.set("tokenizer.ggml.pre", MetaValue::string("default"));
  EXPECT_TRUE(Tokenizer::create(metadata)->warnings().empty());
}

// Words are made visible by merges that join anything: one token per word.
TEST(Tokenizer, PreTokenizersSplitAsTheirModelsDo) {
  const auto words = [](const std::string& pre, const std::string& text) {
    Metadata metadata = tinyBpe({"12", "123", "1234", "'S", "x'", "\xc4\xa0\xc4\xa0"},
                                {"1 2", "12 3", "123 4", "' S", "x '", "\xc4\xa0 \xc4\xa0"});
    metadata.set("tokenizer.ggml.pre", MetaValue::string(pre));
    const auto tokenizer = Tokenizer::create(metadata);
    if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
    EXPECT_TRUE(tokenizer->warnings().empty()) << pre;
    std::vector<std::string> pieces;
    for (const TokenId id : tokenizer->encode(text)) pieces.push_back(tokenizer->piece(id));
    return pieces;
  };
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(words("gpt-2", "1234"), (Pieces{"1234"}));
  EXPECT_EQ(words("llama-bpe", "1234"), (Pieces{"123", "4"}));
  EXPECT_EQ(words("llama3", "1234"), (Pieces{"123", "4"}));
  EXPECT_EQ(words("qwen2", "1234"), (Pieces{"1", "2", "3", "4"}));
  EXPECT_EQ(words("smollm", "1234"), (Pieces{"1", "2", "3", "4"}));
  EXPECT_EQ(words("tekken", "12"), (Pieces{"1", "2"}));
  EXPECT_EQ(words("gpt-4o", "1234"), (Pieces{"123", "4"}));
  EXPECT_EQ(words("deepseek-v3", "1234"), (Pieces{"123", "4"}));
  EXPECT_EQ(words("falcon", "1234"), (Pieces{"123", "4"}));
  EXPECT_EQ(words("default", "1234"), (Pieces{"123", "4"}));
  EXPECT_EQ(words("qwen2", "x'S"), (Pieces{"x", "'S"}));
  EXPECT_EQ(words("gpt-2", "  x"), (Pieces{" ", " ", "x"}));
  EXPECT_EQ(words("llama-bpe", "  "), (Pieces{"  "}));
}

TEST(Tokenizer, Llama3TakesAWordThatIsATokenWhole) {
  // No merge leads to "abc".
  Metadata metadata = tinyBpe({"abc", "bc"}, {"b c"});
  EXPECT_EQ(Tokenizer::create(metadata)->encode("abc").size(), 2u);
  metadata.set("tokenizer.ggml.pre", MetaValue::string("llama-bpe"));
  EXPECT_EQ(Tokenizer::create(metadata)->encode("abc").size(), 1u);
}

TEST(Tokenizer, TurnsEndAtTheWellKnownControlTokensOnly) {
  Metadata metadata = tinyBpe({"<|eot_id|>", "<end_of_turn>", "<|end|>", "<|x|>"}, {});
  std::vector<int32_t> types(99, 1);
  const auto ends = [&](TokenId id) { return Tokenizer::create(metadata)->endsTurn(id); };
  metadata.set("tokenizer.ggml.token_type", int32Array(types));
  EXPECT_FALSE(ends(95));  // ordinary text that looks like one
  std::fill(types.begin() + 95, types.end(), 3);
  metadata.set("tokenizer.ggml.token_type", int32Array(types));
  EXPECT_TRUE(ends(95) && ends(96) && ends(97));
  EXPECT_FALSE(ends(98));
  metadata.set("tokenizer.ggml.eot_token_id", MetaValue::u32(98));
  EXPECT_TRUE(ends(98));
}

TEST(Tokenizer, UserDefinedTokensAreAlwaysFoundAndControlTokensOnRequest) {
  Metadata metadata = tinyBpe({"<user>", "<ctl>", "<ctl>longer"}, {});
  std::vector<int32_t> types(98, 1);
  types[95] = 4;
  types[96] = types[97] = 3;
  metadata.set("tokenizer.ggml.token_type", int32Array(types));
  const auto made = Tokenizer::create(metadata);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->encode("<user>"), (std::vector<TokenId>{95}));
  EXPECT_EQ(made->encode("<ctl>").size(), 5u);
  EXPECT_EQ(made->encode("<ctl><ctl>longer", true), (std::vector<TokenId>{96, 97}));
  EXPECT_EQ(made->decode(made->encode("<ctl>!<user>", true)), "!<user>");
  EXPECT_EQ(made->piece(96), "");
  EXPECT_EQ(made->piece(96, true), "<ctl>");
  EXPECT_EQ(made->piece(-1), "");
  EXPECT_EQ(made->piece(98), "");
}

TEST(Tokenizer, LongWordsDoNotTakeQuadraticTime) {
  NEEDS_SHARED(kSpm);
  const std::string text(1 << 18, 'a');
  const double begin = processorSeconds();
  for (const std::string& file : {kGpt2, kSpm}) {
    const Tokenizer tokenizer = load(file);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    const std::string spaces(1 << 18, ' ');
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(spaces)), spaces);
  }
  const double seconds = processorSeconds() - begin;
  EXPECT_LT(seconds, 10);
}

}  // namespace
}  // namespace bitloom
