#include "engine/tensor.h"

#include "kernels/common/parallel.h"

namespace prospect {

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

Tensor Tensor::empty(Shape shape, DType dtype, const Device& device) {
  for (const int64_t size : shape) CHECK(size >= 0, "tensor: negative size in {}", to_string(shape));
  Tensor tensor;
  tensor.shape_ = std::move(shape);
  tensor.dtype_ = dtype;
  tensor.device_ = std::make_shared<const Device>(device);
  tensor.data_ = device.allocate(std::max<int64_t>(1, tensor.byte_count()));
  return tensor;
}

Tensor Tensor::zeros(Shape shape, DType dtype, const Device& device) {
  Tensor tensor = empty(std::move(shape), dtype, device);
  tensor.fill_zero();
  return tensor;
}

int64_t Tensor::size(int64_t index) const {
  const int64_t rank = std::ssize(shape_);
  CHECK(index >= -rank && index < rank, "tensor: no dimension {} in {}", index, to_string(shape_));
  return shape_[static_cast<size_t>(index < 0 ? index + rank : index)];
}

Tensor Tensor::view(Shape shape) const {
  CHECK(element_count(shape) == count(), "tensor: cannot view {} as {}", to_string(shape_), to_string(shape));
  Tensor tensor = *this;
  tensor.shape_ = std::move(shape);
  return tensor;
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  CHECK(0 <= begin && begin <= end && end <= size(0), "tensor: rows [{}, {}) of {}", begin, end,
        to_string(shape_));
  Tensor tensor = *this;
  tensor.shape_[0] = end - begin;
  const int64_t row_bytes = size(0) == 0 ? 0 : byte_count() / size(0);
  tensor.data_ = std::shared_ptr<std::byte>(data_, data_.get() + begin * row_bytes);
  return tensor;
}

Tensor Tensor::clone() const {
  Tensor tensor = empty(shape_, dtype_, device());
  tensor.copy_from(*this);
  return tensor;
}

void Tensor::copy_from(const Tensor& source) const {
  CHECK(source.shape_ == shape_ && source.dtype_ == dtype_, "tensor: cannot copy {} {} into {} {}",
        dtype_name(source.dtype_), to_string(source.shape_), dtype_name(dtype_), to_string(shape_));
  std::memcpy(bytes(), source.bytes(), static_cast<size_t>(byte_count()));
}

void Tensor::fill_zero() const {
  std::memset(bytes(), 0, static_cast<size_t>(byte_count()));
}

Tensor convert(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor;
  Tensor converted = Tensor::empty(tensor.shape(), dtype, tensor.device());
  with_dtype(tensor.dtype(), [&]<class From>() {
    with_dtype(dtype, [&]<class To>() {
      const From* from = tensor.data<From>();
      To* to = converted.data<To>();
      parallel_for(tensor.count(),
                   [&](int64_t i) { to[i] = static_cast<To>(static_cast<compute_t<To>>(load(from[i]))); });
    });
  });
  return converted;
}

std::vector<double> to_doubles(const Tensor& tensor) {
  if (tensor.dtype() == DType::I32) {
    const auto values = tensor.values<int32_t>();
    return {values.begin(), values.end()};
  }
  const Tensor converted = convert(tensor, DType::F64);
  const auto values = converted.values<double>();
  return {values.begin(), values.end()};
}

}  // namespace prospect
