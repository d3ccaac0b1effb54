process OBJCLASS_CLASSIFY {
    tag "${meta.id}"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container 'objclass'

    input:
    tuple val(meta), path(raw), path(objects, stageAs: 'objects/*')
    tuple val(meta2), path(project)
    val role

    output:
    tuple val(meta), path("${prefix}.csv"), emit: table
    tuple val(meta), path("*_Object Predictions.*"), emit: predictions
    tuple val(meta), path("*_Object Probabilities.*"), emit: probabilities, optional: true
    tuple val(meta), path("objclass_run.json"), emit: run
    tuple val("${task.process}"), val('objclass'), eval("objclass --version | sed 's/.* //'"), topic: versions, emit: versions_objclass

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    // a fifth of the memory is left to the system
    def memory = task.memory ? "--max_memory ${(task.memory.toMega() * 0.8).intValue()}MB" : ''
    """
    objclass \\
        --headless \\
        --project ${project} \\
        --raw_data ${raw} \\
        --${role} ${objects} \\
        --table_filename ${prefix}.csv \\
        --export_object_prediction_img \\
        --output_filename_format '{nickname}_{result_type}' \\
        --jobs ${task.cpus} \\
        ${memory} \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.csv
    touch "${prefix}_Object Predictions.h5"
    touch objclass_run.json
    """
}
