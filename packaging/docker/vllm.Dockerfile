# vLLM's own image with the program in it: sweeps run where the server is.
#     docker build -f packaging/docker/Dockerfile -t sweeplake .
#     docker build -f packaging/docker/vllm.Dockerfile --build-arg VLLM=vllm/vllm-openai:latest -t sweeplake-vllm .
#     docker run --rm --gpus all --ipc host -v "$PWD/results:/results" sweeplake-vllm serve --serve-cmd 'vllm serve MODEL' … -o /results
ARG SWEEPLAKE=sweeplake
ARG VLLM=vllm/vllm-openai:latest
FROM ${SWEEPLAKE} AS program

FROM ${VLLM}
COPY --from=program /usr/local/bin/sweeplake /usr/local/bin/sweeplake
ENTRYPOINT ["sweeplake"]
