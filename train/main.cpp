#include "train/command_line.h"

int main(int argc, char** argv) {
  return prospect::run_command_line(argc, argv);
}
