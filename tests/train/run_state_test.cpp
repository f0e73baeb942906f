#include "train/run_state.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/errors.h"

namespace prospect::test {
namespace {

using Json = nlohmann::json;

RunState sound_state() {
  RunState state{.step = 7,
                 .skipped = 2,
                 .tokens_seen = 1234.5,
                 .window = {1, 1, 0.1, 1.0 / 3, 5e-324},
                 .guards = {0.25, -1e300},
                 .data_digest = ~uint64_t{0},
                 .options = {}};
  state.options.model = state.options.data = state.options.out = "a \"quoted\" name";
  state.options.learning_rate = 1.0 / 3;
  return state;
}

/// The text of a sound state with one field changed.
std::string with(const char* name, const Json& value) {
  Json json = Json::parse(to_text(sound_state()));
  json[name] = value;
  return json.dump();
}

testing::AssertionResult refused(const std::string& text, const std::string& words) {
  return fails(ExitCode::BadData, words, [&] { parse_run_state(text, "state.json"); });
}

TEST(RunState, SurvivesTheRoundTrip) {
  const RunState state = sound_state(), read = parse_run_state(to_text(state), "state.json");
  EXPECT_EQ(read.step, state.step);
  EXPECT_EQ(read.skipped, state.skipped);
  EXPECT_EQ(read.tokens_seen, state.tokens_seen);
  EXPECT_EQ(read.window, state.window);
  EXPECT_EQ(read.guards, state.guards);
  EXPECT_EQ(read.data_digest, state.data_digest);
  EXPECT_EQ(to_toml(read.options), to_toml(state.options));
  EXPECT_EQ(to_text(read), to_text(state));
}

TEST(RunState, EveryFieldIsNeededAndNoOtherIsKnown) {
  const Json sound = Json::parse(to_text(sound_state()));
  for (const auto& [name, value] : sound.items()) {
    Json json = sound;
    json.erase(name);
    EXPECT_TRUE(refused(json.dump(), "state.json " + name + ": is missing"));
  }
  EXPECT_TRUE(refused(with("stepp", 1), "state.json \"stepp\": is no field"));
}

TEST(RunState, RefusesWhatIsNoState) {
  for (const char* text : {"", "{", "{}x", "\xff", "{\"step\": 1e999}", "{\"step\": NaN}"}) {
    EXPECT_TRUE(refused(text, "state.json: not valid JSON")) << text;
  }
  EXPECT_TRUE(refused("[]", "state.json: must be an object"));
  EXPECT_TRUE(refused("{\"step\": 1, \"step\": 2}", "stands twice"));
  EXPECT_TRUE(refused("{\"window\": " + std::string(100000, '['), "nested more than"));
  EXPECT_TRUE(refused(std::string(65 << 20, ' '), "state.json: is larger than 64 MiB"));
}

TEST(RunState, RefusesValuesOutOfRange) {
  for (const char* name : {"step", "skipped", "data_digest"}) {
    for (const Json& value : {Json(-1), Json(1.5), Json("1"), Json(true), Json(nullptr), Json::array()}) {
      EXPECT_TRUE(refused(with(name, value), std::string("state.json ") + name + ": must be"))
          << value.dump();
    }
  }
  EXPECT_TRUE(refused(with("step", int64_t{1} << 31), "step: must be"));
  EXPECT_TRUE(refused(with("step", ~uint64_t{0}), "step: must be"));
  EXPECT_TRUE(refused(with("skipped", 8), "skipped: must not be more than the steps made"));
  for (const Json& value : {Json(-0.5), Json(1e300), Json("1")}) {
    EXPECT_TRUE(refused(with("tokens_seen", value), "tokens_seen: must be a number"));
  }
  for (const char* name : {"window", "guards"}) {
    for (const Json& value : {Json(1), Json{1, "2"}, Json{1, nullptr}, Json{Json{1}}}) {
      EXPECT_TRUE(refused(with(name, value), std::string(name) + ": must be a list of numbers"));
    }
  }
  EXPECT_TRUE(refused(with("guards", std::vector<double>(65)), "guards: has too many"));
  EXPECT_TRUE(refused(with("format", 2), "format: must be 1"));
}

TEST(RunState, RefusesOptionsOfNoRun) {
  EXPECT_TRUE(refused(with("options", 5), "options: must be a text"));
  EXPECT_TRUE(refused(with("options", "beta = = 1"), "state.json options: TOML:1"));
  EXPECT_TRUE(refused(with("options", "lernrate = 1"), "state.json options: TOML:1 lernrate: is no option"));
  EXPECT_TRUE(refused(with("options", "beta = 1"), "state.json options: --model: name the model"));
}

}  // namespace
}  // namespace prospect::test
