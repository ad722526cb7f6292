// The memory of the calls: as much as they tell, and a code at any place where there is none. Built with
// AddressSanitizer, whose hooks count, and with -Wl,--wrap=aligned_alloc, by test_sanitizers.py.
//
//     memory MODEL.json MODEL.safetensors
#include <atomic>
#include <new>

#include "files.h"

// sanitizer/allocator_interface.h, which not every compiler brings.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*taken)(const volatile void *, size_t),
                                                         void (*freed)(const volatile void *));
extern "C" size_t __sanitizer_get_allocated_size(const volatile void *memory);

namespace {

std::atomic<int64_t> g_live{0}, g_peak{0};
std::atomic<int64_t> g_left{-1};  // allocations until one fails; below 0: none does

void count_taken(const volatile void *, size_t bytes) {
  const int64_t live = g_live += static_cast<int64_t>(bytes);
  int64_t peak = g_peak;
  while (live > peak && !g_peak.compare_exchange_weak(peak, live)) {
  }
}
void count_freed(const volatile void *memory) {
  if (memory != nullptr) g_live -= static_cast<int64_t>(__sanitizer_get_allocated_size(memory));
}

bool fails() { return g_left >= 0 && g_left-- == 0; }

[[noreturn]] void complain(const char *what, int64_t found, int64_t expected) {
  std::fprintf(stderr, "%s: %lld, expected %lld (%s)\n", what, static_cast<long long>(found),
               static_cast<long long>(expected), lightm_error());
  std::exit(1);
}

void expect(const char *what, int64_t found, int64_t expected) {
  if (found != expected) complain(what, found, expected);
}

// As the peak of a call is told, it is; but for lists of a few kilobytes.
template <class Call>
void expect_peak(const char *what, uint64_t told, const Call &call) {
  const int64_t before = g_live;
  g_peak = before;
  expect(what, call(), LIGHTM_OK);
  const int64_t taken = g_peak - before;
  if (taken > static_cast<int64_t>(told) + 65536 || taken < static_cast<int64_t>(told))
    complain(what, taken, static_cast<int64_t>(told));
}

void check_peaks(lightm_model *model) {
  const int64_t grid[3] = {24, 40, 33};
  const int dims = lightm_dims(model);
  const size_t voxels = static_cast<size_t>(product(grid, dims));
  const std::vector<float> input(voxels * static_cast<size_t>(lightm_channels(model)), 1.5f);
  std::vector<float> logits(voxels * static_cast<size_t>(lightm_label_count(model)));
  std::vector<uint8_t> labels(voxels);
  for (int32_t threads = 1; threads <= 3; ++threads) {
    lightm_options options = LIGHTM_DEFAULT_OPTIONS;
    options.threads = threads;
    run_network(model, grid, options);  // the threads themselves
    lightm_release_memory(model);
    uint64_t told = 0;
    expect("network_memory", lightm_network_memory(model, grid, &options, &told), LIGHTM_OK);
    expect_peak("run_network", told,
                [&] { return lightm_run_network(model, input.data(), grid, &options, logits.data()); });
    lightm_release_memory(model);
    lightm_image image = {};
    image.struct_size = sizeof image, image.dims = dims, image.values = input.data();
    for (int axis = 0; axis < dims; ++axis) image.shape[axis] = grid[axis];
    const double affine[16] = {-1, 0, 0, 5, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    image.affine = dims == 3 ? affine : nullptr;
    lightm_result result = {};
    result.struct_size = sizeof result, result.labels = labels.data(), result.probabilities = logits.data();
    expect("memory", lightm_memory(model, &image, &options, &told), LIGHTM_OK);
    expect_peak("segment", told, [&] { return lightm_segment(model, &image, &options, &result); });
    lightm_release_memory(model);
  }
}

// call() again and again, the first allocation failing, then the second, and so on, until none does.
template <class Call>
int fail_everywhere(const char *what, const Call &call) {
  for (int64_t place = 0;; ++place) {
    g_left = place;
    const int code = call();
    const bool failed = g_left < 0;
    g_left = -1;
    if (!failed) {
      expect(what, code, LIGHTM_OK);
      return static_cast<int>(place);
    }
    expect(what, code, LIGHTM_NO_MEMORY);
  }
}

}  // namespace

void *operator new(size_t bytes) {
  void *memory = fails() ? nullptr : std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void *operator new(size_t bytes, const std::nothrow_t &) noexcept { return fails() ? nullptr : std::malloc(bytes); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }

extern "C" void *__real_aligned_alloc(size_t alignment, size_t bytes);
extern "C" void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
  return fails() ? nullptr : __real_aligned_alloc(alignment, bytes);
}

int main(int, char **words) {
  const std::string json = read_file(words[1]), weights = read_file(words[2]);
  lightm_model *model = nullptr;
  const int to_open = fail_everywhere("open", [&] {
    lightm_close(model);
    const int code = lightm_open(json.data(), json.size(), weights.data(), weights.size(), &model);
    if (code != LIGHTM_OK && model != nullptr) complain("a model in spite of an error", code, 0);
    return code;
  });
  __sanitizer_install_malloc_and_free_hooks(count_taken, count_freed);
  check_peaks(model);

  const int64_t grid[3] = {9, 10, 11};
  const size_t voxels = static_cast<size_t>(product(grid, lightm_dims(model)));
  const std::vector<float> input(voxels * static_cast<size_t>(lightm_channels(model)), 1.5f);
  std::vector<float> logits(voxels * static_cast<size_t>(lightm_label_count(model)));
  std::vector<uint8_t> labels(voxels);
  int to_run = 0;
  for (int32_t threads = 1; threads <= 2; ++threads) {
    lightm_options options = LIGHTM_DEFAULT_OPTIONS;
    options.threads = threads;
    to_run += fail_everywhere("run_network", [&] {
      lightm_release_memory(model);
      return lightm_run_network(model, input.data(), grid, &options, logits.data());
    });
    lightm_image image = {};
    image.struct_size = sizeof image, image.dims = lightm_dims(model), image.values = input.data();
    for (int axis = 0; axis < image.dims; ++axis) image.shape[axis] = grid[axis];
    lightm_result result = {};
    result.struct_size = sizeof result, result.labels = labels.data();
    to_run += fail_everywhere("segment", [&] {
      lightm_release_memory(model);
      return lightm_segment(model, &image, &options, &result);
    });
  }
  lightm_close(model);
  std::printf("%d %d\n", to_open, to_run);
}
